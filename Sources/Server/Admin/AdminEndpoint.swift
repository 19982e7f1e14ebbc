import ClientProtocol
import HTTPCore
import JSONCore
import LoopCore
import Realtime

/// Answers `/admin/…`: where everyone is, and what a backend wants to say. Confined to the loop that created it.
package final class AdminEndpoint {
  /// Who may ask. Secrets are compared in constant time.
  package struct Keys {
    let adminToken: [UInt8]
    /// Opens publish, broadcast, direct and batch only.
    let apiKey: [UInt8]?

    package init(adminToken: [UInt8], apiKey: [UInt8]?) {
      self.adminToken = adminToken
      self.apiKey = apiKey
    }
  }

  /// Bytes of a request body; the message in it has its own, smaller limit.
  static let bodyBytesMax = 1024 * 1024
  /// Rooms on one page of a listing.
  static let roomsPerPageDefault = 100
  static let roomsPerPageMax = 1000

  let hub: Hub
  let broker: any Broker
  let messageBytesMax: Int
  private let keys: Keys
  private let respond: (SlabID, Response) -> Void
  private var guesses: AuthFailureLimiter
  /// The node it belongs to. Set once, before the first request; without one nobody's guesses are counted.
  weak var node: Node?

  package init(
    hub: Hub, broker: any Broker, keys: Keys, messageBytesMax: Int, guesses: AuthFailureLimiter,
    respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.broker = broker
    self.keys = keys
    self.messageBytesMax = messageBytesMax
    self.guesses = guesses
    self.respond = respond
  }

  /// Answers a request whose path begins with `/admin`.
  package func answer(_ request: Request) {
    let slash = UInt8(ascii: "/")
    let path = request.head.path.dropFirst("/admin".utf8.count).drop { $0 == slash }
    let parts = path.split(separator: slash, maxSplits: 1, omittingEmptySubsequences: false)
    let section = String(decoding: parts.first ?? [], as: UTF8.self)
    // Only the name of a room, a user or a connection may be escaped; a section is its own text and no other.
    let name = parts.count > 1 && !parts[1].isEmpty ? PercentCoding.decode(Array(parts[1]).span) : nil
    let routes = AdminRoute.all.filter { $0.matches(section, hasName: name != nil) }
    guard mayGuess(request) else { return }
    switch key(of: request) {
    case .adminToken: break
    case .apiKey:
      guard routes.contains(where: { $0.api.access == .backend }) else {
        return refuse(
          request, .forbidden,
          "the api-key opens \(AdminEndpoint.backendPaths) only: send the admin token, Authorization: Bearer TOKEN")
      }
    case nil:
      var response = ErrorResponse.make(
        .unauthenticated,
        "send the admin token: Authorization: Bearer TOKEN (set by --admin-token, or printed at start)")
      response.addHeader("WWW-Authenticate", "Bearer realm=\"roost\"")
      return respond(request.connection, response)
    }
    guard let route = routes.first(where: { $0.answers(request.head.method) }) else {
      guard let allowed = routes.first else { return refuse(request, .notFound, "no such path below /admin") }
      return respond(
        request.connection, ErrorResponse.methodNotAllowed(allowed.api.verb == .get ? "GET" : "POST"))
    }
    dispatch(request, to: route, name: name)
  }

  private func dispatch(_ request: Request, to route: AdminRoute, name: [UInt8]?) {
    if let problem = AdminEndpoint.queryProblem(request.head, route.api.query.map(\.name)) {
      return refuse(request, .badRequest, problem)
    }
    switch route.handler {
    case .plain(let answer): answer(self, request)
    case .named(let answer): answer(self, request, name ?? [])
    case .body(let answer):
      attempt(request) { () throws(ProtocolError) in
        // A body that may be missing is an object without members then.
        let isMissing = request.body.isEmpty && route.api.body?.isRequired == false
        let body = try AdminBody(isMissing ? Array("{}".utf8) : request.body)
        if let schema = route.api.body?.contents.first?.schema { try body.check(schema) }
        answer(self, request, body)
      }
    }
  }

  /// Refuses an address that has tried too many tokens, before the next one is looked at. Returns whether it may be.
  private func mayGuess(_ request: Request) -> Bool {
    guard let node else { return true }
    let wait = guesses.wait(Peer(text: request.address).address, at: node.loop.instant)
    guard wait > .zero else { return true }
    node.metrics.refusals.add(.adminGuesses)
    var response = ErrorResponse.make(.rateLimited, "too many wrong tokens from this address: wait before the next")
    response.addHeader("Retry-After", Array(String((wait.milliseconds + 999) / 1000).utf8).span)
    respond(request.connection, response)
    return false
  }

  private enum Key { case adminToken, apiKey }

  /// Which of the two keys a request carries; nil: none, and what it carries instead counts as a guess.
  private func key(of request: Request) -> Key? {
    guard let given = BearerToken.read(request.head) else { return nil }
    // Both are always compared, so that the time tells nothing about which one came close.
    let isAdmin = Digest.isEqual(given, keys.adminToken)
    let isAPI = keys.apiKey.map { Digest.isEqual(given, $0) } ?? false
    if isAdmin { return .adminToken }
    if isAPI { return .apiKey }
    if let node { guesses.note(Peer(text: request.address).address, at: node.loop.instant) }
    return nil
  }

  /// What the api-key opens, for people.
  private static let backendPaths = AdminRoute.all.filter { $0.api.access == .backend }
    .map { "\($0.api.verb == .get ? "GET" : "POST") \($0.api.path)" }.joined(separator: ", ")

  /// What is wrong with a query: a parameter that the path does not know, or one that is repeated. Nil: nothing.
  private static func queryProblem(_ head: RequestHead, _ names: [String]) -> String? {
    let items = head.query.items
    for (index, item) in items.enumerated() {
      let name = PlainName.of(item.name)
      guard names.contains(where: { item.name.elementsEqual($0.utf8) }) else {
        let known = names.joined(separator: ", ")
        return "unknown query parameter \(name); this path takes \(known.isEmpty ? "none" : known)"
      }
      if items[..<index].contains(where: { $0.name == item.name }) { return "the query parameter \(name) stands twice" }
    }
    return nil
  }

  // MARK: Answers

  func refuse(_ request: Request, _ code: ErrorCode, _ message: String) {
    respond(request.connection, ErrorResponse.make(code, message))
  }

  func refuse(_ request: Request, _ error: ProtocolError) { refuse(request, error.code, error.message) }

  /// Answers with what was done, or with the error.
  func finish(_ request: Request, _ outcome: AdminOutcome) {
    switch outcome {
    case .success(let members): respondJSON(request, [UInt8(ascii: "{")] + members + [UInt8(ascii: "}")])
    case .failure(let error): refuse(request, error)
    }
  }

  /// Answers with what the broker said, or that it is out of reach.
  func finish<Value>(
    _ request: Request, _ result: Result<Value, BrokerError>, _ write: (Value, inout JSONWriter) -> Void
  ) {
    finish(request, outcome(result, write))
  }

  /// What a broker's answer means for who asked.
  func outcome<Value>(
    _ result: Result<Value, BrokerError>, _ write: (Value, inout JSONWriter) -> Void
  ) -> AdminOutcome {
    switch result {
    case .success(let value):
      var writer = JSONWriter(capacity: 512)
      write(value, &writer)
      return .success(writer.finish())
    case .failure(let error): return .failure(error.answer(broker: broker.refusal))
    }
  }

  private func respondJSON(_ request: Request, _ text: [UInt8]) { respondUncached(request, .json(text)) }

  /// Answers with what no cache may keep.
  func respondUncached(_ request: Request, _ response: Response) {
    var response = response
    response.forbidStoring()
    respond(request.connection, response)
  }

  /// Answers with the description of all of this.
  func describe(_ request: Request) { respondJSON(request, OpenAPIDocument.json) }
}

/// The members of an answer's object, without the braces, or why there is none.
typealias AdminOutcome = Result<[UInt8], ProtocolError>
/// Takes what became of an operation, once.
typealias AdminReply = (AdminOutcome) -> Void

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
enum BearerToken {
  static func read(_ head: RequestHead) -> [UInt8]? {
    guard let value = head.value(.authorization), value.count > 7 else { return nil }
    let scheme: StaticString = "bearer "
    for i in 0..<7 {
      // Safe because the literal has seven bytes; schemes are case-insensitive (RFC 9110 section 11.1).
      let wanted = scheme.utf8Start[i]
      guard value[i] == wanted || (value[i] | 0x20) == wanted else { return nil }
    }
    // RFC 9110 section 11.4: one or more spaces.
    var start = 7
    while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
    return start < value.count ? [UInt8](copying: value.extracting(start..<value.count)) : nil
  }
}
