import LoopCore
import Realtime
import Server
import Settings
import TimeCore

/// A node with its loop, on a thread of its own. Confined to that thread.
final class NodeHost {
  let node: Node
  var hub: Hub { node.hub }
  private let loop: EventLoop
  private let events: EventFeed<ObservedEvent>?
  private let log: any LogHandler
  private let requests: HandlerCalls<RequestAnswer>
  private let connects: HandlerCalls<ConnectAnswer>
  private let joins: HandlerCalls<JoinAnswer>
  private let messages: HandlerCalls<MessageAnswer>
  private var failures = FailureReport()

  /// Runs a node until it has ended. Returns then.
  static func run(
    _ settings: ServerSettings, _ configuration: RoostNode.Configuration, _ remote: RoostNode, _ link: NodeLink
  ) {
    let failure: NodeError?
    do {
      let loop = try EventLoop()
      // Handlers and timers keep the loop.
      defer { loop.close() }
      failure = try serve(loop, settings, configuration, remote, link).map(NodeHost.error)
    } catch let fault as Node.Failure {
      failure = error(fault)
    } catch {
      failure = NodeError(.cannotStart, "\(error)")
    }
    link.ended(failure)
  }

  private static func serve(
    _ loop: EventLoop, _ settings: ServerSettings, _ configuration: RoostNode.Configuration, _ remote: RoostNode,
    _ link: NodeLink
  ) throws -> Node.Failure? {
    let log = makeLog(settings, configuration)
    let host = try NodeHost(loop, settings, configuration, remote, log)
    let reader = try MailboxReader<NodeLink.Work>(loop) { [unowned host] work in work(host) }
    var end: Node.Failure?
    host.node.ended = { failure in
      end = failure
      loop.stop()
    }
    host.node.listening = { [unowned host] in
      link.started(reader.mailbox, port: host.node.port ?? 0)
    }
    defer {
      host.stop()
      (log as? FeedLog)?.finish()
    }
    try host.node.start()
    loop.run()
    return end
  }

  private static func error(_ failure: Node.Failure) -> NodeError {
    switch failure {
    case .keys, .certificate, .client: NodeError(.invalidSettings, "\(failure)")
    case .cannotListen(let fault): NodeError(fault.isWrongSetting ? .invalidSettings : .cannotStart, "\(failure)")
    case .system: NodeError(.cannotStart, "\(failure)")
    }
  }

  private static func makeLog(_ settings: ServerSettings, _ configuration: RoostNode.Configuration) -> any LogHandler {
    switch configuration.log {
    case .standardError: LineLog(settings)
    case .none: FeedLog(settings.logLevel, nil)
    case .handler(let take): FeedLog(settings.logLevel, take)
    }
  }

  private init(
    _ loop: EventLoop, _ settings: ServerSettings, _ configuration: RoostNode.Configuration, _ remote: RoostNode,
    _ log: any LogHandler
  ) throws {
    (self.loop, self.log) = (loop, log)
    node = try Node(settings, on: loop, log: log)
    let timeout = Interval(configuration.handlerTimeout)
    let runningMax = max(1, configuration.handlersMax)
    requests = try HandlerCalls(loop, timeout: timeout, runningMax: runningMax)
    connects = try HandlerCalls(loop, timeout: timeout, runningMax: runningMax)
    joins = try HandlerCalls(loop, timeout: timeout, runningMax: runningMax)
    messages = try HandlerCalls(loop, timeout: timeout, runningMax: runningMax)
    events = configuration.observe.map { NodeHost.makeFeed($0, remote) }
    if let events {
      node.hub.observers.add([.sessions, .presence, .messages]) { event in
        if let seen = ObservedEvent(event) { events.offer(seen, bytes: seen.byteCount) }
      }
    }
    if let forbid = configuration.forbid {
      node.hub.authorisers.add { forbid(Attempt($0), Client($1)) }
    }
    for (action, handler) in configuration.requests { register(action, handler, remote) }
    decide(configuration)
  }

  private static func makeFeed(
    _ observe: @escaping @Sendable (NodeEvent, RoostNode) async -> Void, _ remote: RoostNode
  ) -> EventFeed<ObservedEvent> {
    EventFeed(countMax: EmbeddingLimits.eventsWaitingMax, bytesMax: EmbeddingLimits.eventBytesMax) { seen, missed in
      if missed > 0 { await observe(.missed(missed), remote) }
      if let event = seen.event { await observe(event, remote) }
    }
  }

  private func stop() {
    requests.stop()
    connects.stop()
    joins.stop()
    messages.stop()
    events?.finish()
  }

  // MARK: Handlers

  private func register(_ action: String, _ handler: @escaping RoostNode.RequestHandler, _ remote: RoostNode) {
    node.hub.actions.register(action) { [unowned self] request, reply in
      let asked = ClientRequest(
        action: text(request.action), payload: request.payload.map { JSON($0) },
        client: Client(
          user: text(request.user), info: request.info.map { JSON($0) }, connection: request.connection.map(text)),
        node: remote)
      requests.call({ try await RequestAnswer(asked, handler) }) { [unowned self] outcome in
        switch outcome {
        case .answered(.payload(let payload)): reply(.success(payload: payload.bytes))
        case .answered(.refused(let error)): reply(.failure(error.code.wire, error.message))
        case .failed(let what):
          reply(.failure(.internal, "the handler of this action failed"))
          report(outcome: "failed: \(what)", of: "request \(action)")
        case .timedOut:
          reply(.failure(.unavailable, "the handler did not answer in time: try again"))
          report(outcome: "did not answer in time", of: "request \(action)")
        case .tooMany:
          reply(.failure(.unavailable, "too many requests are being answered: try again in a moment"))
          report(outcome: "was not called: handlersMax run already", of: "request \(action)")
        }
      }
    }
  }

  private func decide(_ configuration: RoostNode.Configuration) {
    var deciders = node.hub.deciders
    if let handler = configuration.connect {
      deciders.connect = { [unowned self] question, reply in
        let attempt = ConnectAttempt(question)
        connects.call({ try await handler(attempt) }) { [unowned self] outcome in
          guard let answer = answer(of: outcome, "connect") else {
            return reply(.unavailable(reason: NodeHost.undecided))
          }
          guard let decision = ConnectDecision(answer) else {
            report(outcome: "named a user that cannot be, or info that is no JSON", of: "connect")
            return reply(.unavailable(reason: NodeHost.undecided))
          }
          reply(decision)
        }
      }
    }
    if let handler = configuration.join {
      deciders.join = { [unowned self] question, reply in
        guard case .join(let room) = question.subject else { return reply(.allowed()) }
        let (name, client) = (text(room), Client(question.client))
        joins.call({ try await handler(name, client) }) { [unowned self] outcome in
          switch answer(of: outcome, "join") {
          case .allow: reply(.allowed())
          case .refuse(let reason): reply(.refused(reason: reason))
          case nil: reply(.unavailable(reason: NodeHost.undecided))
          }
        }
      }
    }
    if let handler = configuration.message {
      deciders.message = { [unowned self] question, reply in
        guard let message = ClientMessage(question) else { return reply(.allowed()) }
        messages.call({ try await handler(message) }) { [unowned self] outcome in
          switch answer(of: outcome, "message") {
          case .allow: reply(.allowed())
          case .replace(let data): reply(.allowed(data: data.bytes))
          case .refuse(let reason): reply(.refused(reason: reason))
          case nil: reply(.unavailable(reason: NodeHost.undecided))
          }
        }
      }
    }
    node.hub.deciders = deciders
  }

  private static let undecided = "the server could not decide: try again in a moment"

  private func answer<Answer>(of outcome: HandlerCalls<Answer>.Outcome, _ kind: String) -> Answer? {
    switch outcome {
    case .answered(let answer): return answer
    case .failed(let what): report(outcome: "failed: \(what)", of: kind)
    case .timedOut: report(outcome: "did not answer in time", of: kind)
    case .tooMany: report(outcome: "was not called: handlersMax run already", of: kind)
    }
    return nil
  }

  /// Logs what went wrong with a handler: of each kind once a minute, with how often.
  private func report(outcome: String, of kind: String) {
    guard let count = failures.count(kind, at: loop.instant) else { return }
    node.warn("a handler of the program failed", handler: kind, reason: outcome, count: count)
  }
}

/// Decides when failures of handlers are logged: of each kind the first at once, later ones once a minute. Pure.
struct FailureReport {
  static let interval = Interval.seconds(60)

  private var kinds: [String: (count: Int, loggedAt: Instant)] = [:]

  /// Counts a failure. Returns how many there were since the last line when it is time for one.
  mutating func count(_ kind: String, at now: Instant) -> Int? {
    guard let known = kinds[kind] else {
      kinds[kind] = (0, now)
      return 1
    }
    guard now >= known.loggedAt + FailureReport.interval else {
      kinds[kind]?.count += 1
      return nil
    }
    kinds[kind] = (0, now)
    return known.count + 1
  }
}
