import JSONCore
import LoopCore
import Realtime

/// Questions to other nodes and their answers, through one channel for each node.
///
/// A question is published on the channel of the node that is asked, its answer on the channel of the node that asks. A
/// payload is `?`, a number, a space, the length of the asking node's id, a space, the id, the question; or `!` (answered) or
/// `-` (it could not be), the number, a space, the answer. Confined to the loop that created it.
final class NodeQuestions {
  private let context: BrokerContext
  private let states: NodeStates
  private let ownChannel: [UInt8]
  private var pending = PendingQuestions<(NodeAnswer) -> Void>()
  private var isTimerSet = false
  /// When the nodes that are asked were looked for.
  private var lookedAt: UInt64 = 0
  /// Those on whose channels nobody was found.
  private var missed: Set<[UInt8]> = []

  init(_ context: BrokerContext, states: NodeStates) {
    self.context = context
    self.states = states
    ownChannel = context.keys.nodeChannel(context.node)
  }

  // MARK: Asking

  func ask(
    node: [UInt8], _ question: [UInt8], withinMilliseconds milliseconds: Int, _ reply: @escaping (NodeAnswer) -> Void
  ) {
    let channel = context.keys.nodeChannel(node)
    // Without its own channel this node gets no answer.
    guard !context.isStopping, context.isAvailable, question.count <= QuestionLimits.questionBytesMax,
      context.isServed(channel), context.shards.shard(of: ownChannel)?.isSubscribed == true,
      let number = pending.add(to: node, until: now + UInt64(max(0, milliseconds)), reply)
    else { return reply(.unavailable) }
    watch()
    var payload: [UInt8] = [UInt8(ascii: "?")]
    payload.reserveCapacity(question.count + context.node.count + 32)
    JSONNumber.append(number, to: &payload)
    payload.append(UInt8(ascii: " "))
    JSONNumber.append(UInt64(context.node.count), to: &payload)
    payload.append(UInt8(ascii: " "))
    payload += context.node
    payload += question
    publish(payload, on: channel) { [weak self] receivers in
      if let receivers, receivers > 0 { return }
      // Nobody is subscribed: the node has ended. Nothing was published at all: the master is out of reach, or refuses.
      self?.pending.take(number)?(receivers == nil ? .unavailable : .absent)
    }
  }

  /// Ends the questions whose answers cannot come any more, or that may not have been asked: a connection to a master was lost.
  func connectionLost(of shard: Shard) {
    guard !pending.isEmpty else { return }
    let (shards, keys) = (context.shards, context.keys)
    let isDeaf = shards.shard(of: ownChannel) === shard
    for waiter in pending.take(where: { isDeaf || shards.shard(of: keys.nodeChannel($0)) === shard }) {
      waiter(.unavailable)
    }
  }

  /// Ends all questions.
  func stop() { for waiter in pending.take(where: { _ in true }) { waiter(.unavailable) } }

  // MARK: Receiving

  /// Takes what was published on this node's channel. Anything else than a question or an answer is ignored.
  func received(_ payload: Span<UInt8>) {
    guard payload.count > 1, let (number, start) = NodeQuestions.number(in: payload, from: 1) else { return }
    let body = payload.extracting(start..<payload.count)
    switch payload[0] {
    case UInt8(ascii: "?"): asked(number, body)
    case UInt8(ascii: "!"): pending.take(number)?(.answered([UInt8](copying: body)))
    case UInt8(ascii: "-"): pending.take(number)?(.unavailable)
    default: break
    }
  }

  private func asked(_ number: UInt64, _ text: Span<UInt8>) {
    guard let (length, start) = NodeQuestions.number(in: text, from: 0), length > 0,
      length <= UInt64(text.count - start)
    else { return }
    // While another process may have this node's id, that one answers.
    guard context.isLeaseHeld, !context.isStopping, let listener = context.listener else { return }
    let end = start + Int(length)
    let asker = [UInt8](copying: text.extracting(start..<end))
    var isAnswered = false
    listener.received(question: text.extracting(end..<text.count), from: asker) { [weak self] answer in
      guard !isAnswered else { return }
      isAnswered = true
      self?.answer(number, of: asker, answer)
    }
  }

  private func answer(_ number: UInt64, of asker: [UInt8], _ answer: [UInt8]) {
    let fits = answer.count <= QuestionLimits.answerBytesMax
    var payload: [UInt8] = [fits ? UInt8(ascii: "!") : UInt8(ascii: "-")]
    payload.reserveCapacity((fits ? answer.count : 0) + 24)
    JSONNumber.append(number, to: &payload)
    payload.append(UInt8(ascii: " "))
    if fits { payload += answer }
    // When it is lost, the node that asks stops waiting by itself.
    publish(payload, on: context.keys.nodeChannel(asker)) { _ in }
  }

  /// A number and the place after the space that ends it.
  private static func number(in text: Span<UInt8>, from start: Int) -> (UInt64, after: Int)? {
    var end = start
    // The largest number has 20 digits.
    while end < text.count, end - start <= 20, text[end] != UInt8(ascii: " ") { end += 1 }
    guard end < text.count, text[end] == UInt8(ascii: " "),
      let number = JSONNumber.unsigned(text.extracting(start..<end))
    else { return nil }
    return (number, end + 1)
  }

  // MARK: Publishing

  /// - Parameter reply: takes the number of connections that Redis has given it to; nil: it was refused, or not sent.
  private func publish(_ payload: [UInt8], on channel: [UInt8], _ reply: @escaping (Int?) -> Void) {
    context.commands.request({ reply($0?.kind == .integer ? $0?.integer : nil) }) { writer in
      writer.command(parts: 3)
      if context.shards.isSharded { writer.bulk("SPUBLISH") } else { writer.bulk("PUBLISH") }
      writer.bulk(channel)
      writer.bulk(payload)
    }
  }

  // MARK: Time

  private var now: UInt64 { context.loop.now / 1_000_000 }

  /// Looks for questions whose time is over, as long as any wait.
  private func watch() {
    guard !isTimerSet, !pending.isEmpty else { return }
    isTimerSet = true
    context.loop.after(milliseconds: Int(PendingQuestions<Void>.stepMilliseconds)) { [weak self] in
      guard let self else { return }
      isTimerSet = false
      for waiter in pending.takeDue(at: now) { waiter(.unavailable) }
      lookForNodes()
      watch()
    }
  }

  // MARK: Nodes that end

  /// Ends the questions to nodes that have ended since they were asked: those whose lease is over, and those that are
  /// subscribed to their channel no more, which is known sooner where a process was killed.
  private func lookForNodes() {
    guard now >= lookedAt + UInt64(QuestionLimits.presenceMilliseconds), !pending.isEmpty else { return }
    lookedAt = now
    for waiter in pending.take(where: { states.isDead($0) || states.isLeaving($0) }) { waiter(.absent) }
    let nodes = pending.nodes
    missed.formIntersection(nodes)
    for node in nodes {
      let channel = context.keys.nodeChannel(node)
      guard context.isAvailable, context.isServed(channel) else { continue }
      // It is neither a question nor an answer, so who receives it ignores it.
      publish([UInt8(ascii: "-")], on: channel) { [weak self] receivers in
        guard let self, let receivers else { return }
        guard receivers == 0 else { return _ = missed.remove(node) }
        guard missed.remove(node) != nil else { return _ = missed.insert(node) }
        for waiter in pending.take(where: { $0 == node }) { waiter(.absent) }
      }
    }
  }
}

@available(*, unavailable)
extension NodeQuestions: Sendable {}
