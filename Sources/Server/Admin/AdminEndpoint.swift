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
  /// Who may ask.
  let gate: AdminGate
  private let respond: (SlabID, Response) -> Void
  /// The node it belongs to. Set once, before the first request; without one nobody's guesses are counted.
  weak var node: Node? { didSet { gate.node = node } }

  package init(
    hub: Hub, broker: any Broker, keys: Keys, messageBytesMax: Int, guesses: AuthFailureLimiter,
    respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.broker = broker
    gate = AdminGate(keys, guesses)
    self.messageBytesMax = messageBytesMax
    self.respond = respond
  }

  /// An endpoint of the same node that answers elsewhere.
  init(sharing other: AdminEndpoint, respond: @escaping (SlabID, Response) -> Void) {
    (hub, broker, gate, messageBytesMax) = (other.hub, other.broker, other.gate, other.messageBytesMax)
    self.respond = respond
    node = other.node
  }

  /// Answers a request whose path begins with `/admin`.
  package func answer(_ request: Request) {
    let (routes, name) = AdminEndpoint.routes(of: request.head)
    let acceptsAPIKey = routes.contains { $0.api.access == .backend }
    let verdict = gate.judge(BearerToken.read(request.head), from: request.address, acceptsAPIKey: acceptsAPIKey)
    if verdict == .opened { answer(request, routes, name) } else { refuse(request, verdict) }
  }

  /// Answers a request whose token does not open.
  func refuse(_ request: Request, _ verdict: AdminGate.Verdict) {
    switch verdict {
    case .opened: break
    case .apiKey:
      refuse(
        request, .forbidden,
        "the api-key opens \(AdminRoute.backendPaths) only: send the admin token, Authorization: Bearer TOKEN")
    case .wrong:
      var response = ErrorResponse.make(
        .unauthenticated,
        "send the admin token: Authorization: Bearer TOKEN (set by --admin-token, or printed at start)")
      response.addHeader("WWW-Authenticate", "Bearer realm=\"roost\"")
      respond(request.connection, response)
    case .tooMany(let wait):
      var response = ErrorResponse.make(.rateLimited, AdminGate.tooMany)
      response.addHeader("Retry-After", Array(String((wait.milliseconds + 999) / 1000).utf8).span)
      respond(request.connection, response)
    }
  }

  /// Answers a request of somebody who has proved to be an operator.
  func answerOperator(_ request: Request) {
    let (routes, name) = AdminEndpoint.routes(of: request.head)
    answer(request, routes, name)
  }

  /// The routes of a path, and the name at its end. Only the name of a room, a user or a connection may be escaped; a section is
  /// its own text and no other.
  private static func routes(of head: RequestHead) -> ([AdminRoute], name: [UInt8]?) {
    let slash = UInt8(ascii: "/")
    let path = head.path.dropFirst("/admin".utf8.count).drop { $0 == slash }
    let parts = path.split(separator: slash, maxSplits: 1, omittingEmptySubsequences: false)
    let section = String(decoding: parts.first ?? [], as: UTF8.self)
    let name = parts.count > 1 && !parts[1].isEmpty ? PercentCoding.decode(Array(parts[1]).span) : nil
    return (AdminRoute.all.filter { $0.matches(section, hasName: name != nil) }, name)
  }

  private func answer(_ request: Request, _ routes: [AdminRoute], _ name: [UInt8]?) {
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
