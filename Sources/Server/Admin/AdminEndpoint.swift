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
    /// Opens publish, broadcast and direct only.
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
    let isMessage = ["publish", "broadcast", "direct"].contains(section)
    guard mayGuess(request) else { return }
    guard isAuthorized(request, acceptsAPIKey: isMessage) else {
      var response = ErrorResponse.make(
        .unauthenticated,
        "send the admin token: Authorization: Bearer TOKEN (set by --admin-token, or printed at start)")
      response.addHeader("WWW-Authenticate", "Bearer realm=\"roost\"")
      return respond(request.connection, response)
    }
    switch (section, name) {
    case ("presence", let room?): get(request, ["limit", "cursor"]) { presence($0, room) }
    case ("presence", nil), ("rooms", nil): get(request, ["prefix", "limit", "cursor"]) { rooms($0) }
    case ("nodes", nil): get(request) { nodes($0) }
    case ("users", let user?): get(request) { connections($0, of: user) }
    case ("connections", let name?): get(request) { connection($0, named: name) }
    case ("history", let room?): get(request, ["limit", "since"]) { history($0, room) }
    case ("publish", nil): post(request) { publish($0, $1) }
    case ("broadcast", nil): post(request) { broadcast($0, $1) }
    case ("direct", nil): post(request) { direct($0, $1) }
    case ("disconnect", nil): post(request) { disconnect($0, $1) }
    case ("revoke", nil): post(request) { revoke($0, $1) }
    default: refuse(request, .notFound, "no such path below /admin")
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

  private func isAuthorized(_ request: Request, acceptsAPIKey: Bool) -> Bool {
    guard let given = BearerToken.read(request.head) else { return false }
    // Both are always compared, so that the time tells nothing about which one came close.
    let isAdmin = Digest.isEqual(given, keys.adminToken)
    let isAPI = keys.apiKey.map { Digest.isEqual(given, $0) } ?? false
    let opens = isAdmin || (acceptsAPIKey && isAPI)
    // A right key at the wrong path is no guess.
    if !opens, !isAPI, let node {
      guesses.note(Peer(text: request.address).address, at: node.loop.instant)
    }
    return opens
  }

  /// - Parameter names: the query parameters that the path knows. Others are refused, and repeated ones.
  private func get(_ request: Request, _ names: [StaticString] = [], _ answer: (Request) -> Void) {
    guard request.head.method == .get || request.head.method == .head else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("GET"))
    }
    if let problem = AdminEndpoint.queryProblem(request.head, names) { return refuse(request, .badRequest, problem) }
    answer(request)
  }

  private static func queryProblem(_ head: RequestHead, _ names: [StaticString]) -> String? {
    let items = head.query.items
    for (index, item) in items.enumerated() {
      let name = PlainName.of(item.name)
      guard names.contains(where: { JSONString.equals(item.name.span, $0) }) else {
        let known = names.map { "\($0)" }.joined(separator: ", ")
        return "unknown query parameter \(name); this path takes \(known.isEmpty ? "none" : known)"
      }
      if items[..<index].contains(where: { $0.name == item.name }) { return "the query parameter \(name) stands twice" }
    }
    return nil
  }

  private func post(_ request: Request, _ answer: (Request, AdminBody) -> Void) {
    guard request.head.method == .post else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("POST"))
    }
    if let problem = AdminEndpoint.queryProblem(request.head, []) { return refuse(request, .badRequest, problem) }
    do throws(ProtocolError) {
      answer(request, try AdminBody(request.body))
    } catch {
      refuse(request, error)
    }
  }

  // MARK: Answers

  func refuse(_ request: Request, _ code: ErrorCode, _ message: String) {
    respond(request.connection, ErrorResponse.make(code, message))
  }

  func refuse(_ request: Request, _ error: ProtocolError) { refuse(request, error.code, error.message) }

  /// Answers with what the broker said, or that it is out of reach.
  func finish<Value>(
    _ request: Request, _ result: Result<Value, BrokerError>, _ write: (Value, inout JSONWriter) -> Void
  ) {
    switch result {
    case .success(let value):
      var writer = JSONWriter(capacity: 512)
      writer.beginObject()
      write(value, &writer)
      writer.endObject()
      var response = Response.json(writer.finish())
      response.forbidStoring()
      respond(request.connection, response)
    case .failure(.unavailable), .failure(.unsupported):
      let reason = broker.refusal.map { "\($0.what): \($0.advice)," } ?? "Redis is out of reach:"
      refuse(request, .unavailable, "\(reason) try again when /readyz answers 200")
    case .failure(.refused):
      refuse(
        request, .internal,
        "what Redis holds for this is of another type than Roost writes; nothing was done: the node's log names the key"
      )
    case .failure(.uncertain):
      let reason =
        broker.refusal.map { "\($0.what): \($0.advice)" } ?? "Redis went out of reach before it answered"
      refuse(
        request, .unavailable, "\(reason); it may have been done: repeat it with the same Idempotency-Key")
    }
  }
}

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
