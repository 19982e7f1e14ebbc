import LoopCore

/// Sends a query to several servers, each in turn, until one has the answer.
///
/// Every query has a connection of its own, which ends with the answer: queries are rare.
/// Confined to the loop that created it.
final class DiscoveryQuery<Answer> {
  /// The result of a query: an answer, or why the last server had none.
  typealias Outcome = Result<Answer, RedisLink.Unlocated>

  private let loop: EventLoop
  private let link: RedisLink
  private let write: (inout CommandWriter) -> Void
  /// Reads an answer; nil when the server has none.
  private let judge: (_ reply: Reply, _ askedOf: RedisEndpoint) -> Answer?
  private var candidates: ArraySlice<RedisEndpoint> = []
  private var waiting: [(Outcome) -> Void] = []
  private var round = 0
  private var lastProblem = ""

  /// - Parameters:
  ///   - write: writes the query, one command.
  ///   - judge: reads a reply, which may be an error.
  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?, name: String,
    _ write: @escaping (inout CommandWriter) -> Void, judge: @escaping (Reply, RedisEndpoint) -> Answer?
  ) {
    self.loop = loop
    self.write = write
    self.judge = judge
    link = RedisLink(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls,
      endpoint: .unix(path: ""), name: name, isDiscovery: true
    ) { _, _ in }
    link.opened = { [weak self] in self?.ask() }
    link.closed = { [weak self] in self?.advance() }
  }

  /// Asks `servers` in their order. Calls while a query is on its way get the same answer.
  func ask(_ servers: [RedisEndpoint], _ outcome: @escaping (Outcome) -> Void) {
    waiting.append(outcome)
    guard waiting.count == 1 else { return }
    candidates = servers[...]
    lastProblem = "no server to ask"
    next()
  }

  /// Sends what this tick has gathered.
  func flush() { link.flush() }

  /// Ends a query that is on its way, without an answer.
  func stop() {
    waiting = []
    round += 1
    link.stop()
  }

  private func next() {
    round += 1
    link.stop()
    guard let endpoint = candidates.popFirst() else {
      return finish(.failure(RedisLink.Unlocated(reason: lastProblem)))
    }
    link.endpoint = endpoint
    link.confirm()
    let round = round
    loop.after(milliseconds: RedisLimits.discoveryMilliseconds) { [weak self] in
      guard let self, self.round == round else { return }
      lastProblem = "\(endpoint) did not answer within \(RedisLimits.discoveryMilliseconds) ms"
      next()
    }
    link.start()
  }

  /// Goes to the next server, once the link is done with its failure.
  private func advance() {
    let round = round
    loop.after(milliseconds: 0) { [weak self] in
      guard let self, self.round == round, !waiting.isEmpty else { return }
      if !link.lastReason.isEmpty { lastProblem = "\(link.endpoint): \(link.lastReason)" }
      next()
    }
  }

  private func ask() {
    let round = round
    let answered: PendingReplies.Handler = { [weak self] reply in
      guard let self, self.round == round, let reply else { return }
      let endpoint = link.endpoint
      if let answer = judge(reply, endpoint) { return finish(.success(answer)) }
      lastProblem = "\(endpoint) \(reply.isError ? "answered \(reply.text)" : "does not know")"
      advance()
    }
    link.request(answered, write)
  }

  private func finish(_ outcome: Outcome) {
    round += 1
    let answered = waiting
    waiting = []
    // The reply being read belongs to the link: it is closed afterwards.
    let round = round
    loop.after(milliseconds: 0) { [weak self] in
      guard let self, self.round == round else { return }
      link.stop()
    }
    for reply in answered { reply(outcome) }
  }
}
