import ClientProtocol
import Realtime

/// Has the node that holds a connection answer a request that came to this node: this node itself, or another one, which is
/// asked through the broker. The node is named in the connection's name. Confined to the loop that created it.
final class ConnectionForwarder {
  private let hub: Hub
  private let broker: any Broker
  private let polls: PollTransport
  private let engines: EngineConnections
  private let metrics: Metrics
  /// Polls that came here and wait for another node's answer.
  private var waiting: [UInt64: ConnectionQuestion] = [:]
  private var lastNumber: UInt64 = 0
  /// Has something done a little later: set by the node that drains.
  private var later: ((@escaping () -> Void) -> Void)?
  /// Answers what is no question about a connection: a read of another node's admin endpoint; nil: it is none. Set once.
  var answerRead: (_ question: [UInt8]) -> [UInt8]? = { _ in nil }

  init(hub: Hub, broker: any Broker, polls: PollTransport, engines: EngineConnections, metrics: Metrics) {
    self.hub = hub
    self.broker = broker
    self.polls = polls
    self.engines = engines
    self.metrics = metrics
    hub.answerQuestion = { [weak self] question, answer in self?.answer(question, answer) }
  }

  /// Answers once, at once or later.
  func perform(_ question: ConnectionQuestion, _ reply: @escaping (ConnectionAnswer) -> Void) {
    let kind = question.kind
    guard let node = question.node, node.count <= Limits.userNameBytesMax else {
      return reply(ConnectionAnswer(.notFound, "no connection has such a name: use that of its welcome", to: kind))
    }
    guard node != hub.configuration.nodeID else { return performHere(question, reply) }
    guard question.hurried != nil else { return ask(node, question, reply) }
    lastNumber += 1
    let number = lastNumber
    waiting[number] = question
    if let later { later { [weak self] in self?.hurry(number) } }
    ask(node, question) { [weak self] in
      self?.waiting[number] = nil
      reply($0)
    }
  }

  private func ask(_ node: [UInt8], _ question: ConnectionQuestion, _ reply: @escaping (ConnectionAnswer) -> Void) {
    let kind = question.kind
    broker.ask(node: node, question.encoded, withinMilliseconds: question.milliseconds) { [metrics] answer in
      switch answer {
      case .answered(let bytes):
        metrics.forwarded.answered += 1
        reply(ConnectionAnswer(bytes) ?? ConnectionAnswer(.internal, "a node has answered nonsense", to: kind))
      case .absent:
        metrics.forwarded.absent += 1
        reply(ConnectionAnswer(.notFound, "the node of this connection has ended: open another one", to: kind))
      case .unavailable:
        metrics.forwarded.unavailable += 1
        let message = "the node of this connection is out of reach: ask again in a moment"
        reply(ConnectionAnswer(.unavailable, message, to: kind))
      }
    }
  }

  // MARK: Draining

  /// How many polls wait here for another node's answer.
  var waitingCount: Int { waiting.count }

  /// Has every poll answered that waits here, now or from now on: this node is about to end. Their connections go on: no node
  /// has to hold them for that.
  ///
  /// - Parameter later: does something at a random moment of the drain.
  func drain(_ later: @escaping (@escaping () -> Void) -> Void) {
    self.later = later
    for number in waiting.keys { later { [weak self] in self?.hurry(number) } }
  }

  private func hurry(_ number: UInt64) {
    guard let question = waiting[number], let hurried = question.hurried, let node = question.node else { return }
    ask(node, hurried) { _ in }
  }

  // MARK: Answering

  /// Answers another node.
  private func answer(_ bytes: [UInt8], _ answer: @escaping ([UInt8]) -> Void) {
    guard let question = ConnectionQuestion(bytes) else {
      if let body = answerRead(bytes) { return answer(ConnectionAnswer(status: 200, body).encoded) }
      return answer(ConnectionAnswer(.badRequest, "the nodes of this cluster have different versions").encoded)
    }
    performHere(question) { answer($0.encoded) }
  }

  private func performHere(_ question: ConnectionQuestion, _ reply: @escaping (ConnectionAnswer) -> Void) {
    switch question.kind {
    case .operation(let text):
      if let owner = question.owner, let id = hub.session(named: question.connection),
        let problem = ConnectionOwner(of: id, hub).flatMap({ owner.refusal(of: $0) })
      {
        return reply(ConnectionAnswer(problem.code, problem.message, to: question.kind))
      }
      if let problem = polls.refusal(ofEnded: question.connection, by: question.owner) {
        return reply(ConnectionAnswer(problem.code, problem.message, to: question.kind))
      }
      hub.perform(text.span, forConnection: question.connection, by: question.owner?.user) { text, code in
        reply(ConnectionAnswer(status: code?.httpStatus ?? 200, text))
      }
    case .poll(let seq, let wait):
      polls.poll(question.connection, by: question.owner, seq: seq, waitMilliseconds: wait, reply)
    case .end: reply(polls.end(question.connection, by: question.owner))
    case .enginePoll(let wait, let tag):
      engines.poll(question.connection, on: nil, isForwarded: true, tag: tag, isHurried: wait == 0, reply)
    case .enginePost(let body): engines.post(question.connection, body, reply)
    }
  }
}

/// Requests that other nodes were asked to answer, by what became of them.
struct ForwardedRequests {
  var answered: UInt64 = 0
  /// The node had ended.
  var absent: UInt64 = 0
  /// Redis was out of reach, or the node has not answered in time.
  var unavailable: UInt64 = 0
}
