import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// Finds what answers a request. Confined to the loop that created it.
final class Routes: RequestRouter {
  private let table: ConnectionTable
  private let node: Node
  private let admin: AdminEndpoint
  private let live: AdminLive
  private let send: SendEndpoint
  private let eventStreams: EventStreamEndpoint
  private let poll: PollEndpoint
  private let incomingHooks: IncomingHookEndpoint
  private let socketIO: SocketIOEndpoint

  init(
    table: ConnectionTable, node: Node, admin: AdminEndpoint, live: AdminLive, send: SendEndpoint,
    eventStreams: EventStreamEndpoint, poll: PollEndpoint, incomingHooks: IncomingHookEndpoint,
    socketIO: SocketIOEndpoint
  ) {
    self.table = table
    self.node = node
    self.admin = admin
    self.live = live
    self.send = send
    self.eventStreams = eventStreams
    self.poll = poll
    self.incomingHooks = incomingHooks
    self.socketIO = socketIO
    socketIO.admits = { [weak self] in self?.admitsConnection($0) ?? false }
    table.router = self
  }

  /// A body that nobody asked for is read and ignored, within reason.
  private static let ignoredBodyBytesMax = 64 * 1024

  func bodyBytesMax(_ head: RequestHead) -> Int {
    if Routes.isAdmin(head.path) { return AdminEndpoint.bodyBytesMax }
    if head.path.starts(with: Routes.hooksPath) { return max(incomingHooks.bodyBytesMax, Routes.ignoredBodyBytesMax) }
    if Routes.isEngine(head.path) { return socketIO.bodyBytesMax }
    return head.path.elementsEqual(Routes.sendPath) ? send.bodyBytesMax(head) : Routes.ignoredBodyBytesMax
  }

  func bodyRefusal(_ head: RequestHead) -> Response {
    if head.path.elementsEqual(Routes.sendPath) { return send.bodyRefusal(head) }
    let (max, size) = (bodyBytesMax(head), head.bodySize(over: bodyBytesMax(head)))
    if head.path.starts(with: Routes.hooksPath) {
      return incomingHooks.bodyRefusal(head, name: head.path.dropFirst(Routes.hooksPath.count), size: size)
    }
    return ErrorResponse.make(.tooLarge, "the body has \(size); this path takes at most \(max) bytes")
  }

  /// A page of a listed origin may read the answers (the Fetch standard, section 3.2: CORS protocol). With a list no
  /// cache may give one page's answer to another.
  func decorate(_ response: inout Response, for head: RequestHead) {
    guard node.origins.isList else { return }
    response.addHeader("Vary", "Origin")
    guard let origin = head.value(.origin), node.origins.lists(origin) else { return }
    response.addHeader("Access-Control-Allow-Origin", origin)
    if !node.origins.listsAll { response.addHeader("Access-Control-Allow-Credentials", "true") }
    response.addHeader("Access-Control-Expose-Headers", "ETag, Retry-After, X-Request-ID")
  }

  func decorates(_ head: RequestHead) -> Bool { node.origins.isList }

  /// The browser's question before a request that a form could not have sent.
  private func preflight() -> Response {
    var response = Response(status: 204)
    response.addHeader("Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE, OPTIONS")
    response.addHeader(
      "Access-Control-Allow-Headers",
      "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, traceparent, tracestate, X-Request-ID"
    )
    response.addHeader("Access-Control-Max-Age", "86400")
    return response
  }

  func route(_ request: Request) {
    if request.role == .redirect { return answer(request, redirection(request)) }
    if let refusal = refusalByOrigin(request) { return answer(request, refusal) }
    if request.head.method == .options, node.origins.isList, request.head.value(.origin) != nil {
      return answer(request, preflight())
    }
    let path = String(decoding: request.head.path, as: UTF8.self)
    switch path {
    // Some clients and proxies add the slash.
    case "/ws", "/ws/": openWebSocket(request, echo: false)
    case "/echo" where table.limits.isEchoEnabled: openWebSocket(request, echo: true)
    case "/sse": if admitsConnection(request) { eventStreams.answer(request) }
    case "/poll": if mayPoll(request) { poll.answer(request) }
    case "/send": send.answer(request)
    case _ where Routes.isEngine(request.head.path): answerEngine(request)
    case "/socket.io/socket.io.js" where node.settings.socketIO: get(request) { socketIOClient() }
    case "/healthz": get(request) { .text("ok\n") }
    case "/readyz": get(request) { readiness() }
    case "/metrics":
      get(request) {
        Response(status: 200, contentType: "text/plain; version=0.0.4; charset=utf-8", body: node.metricsText())
      }
    default:
      if request.head.path.starts(with: Routes.hooksPath) {
        incomingHooks.answer(request, name: request.head.path.dropFirst(Routes.hooksPath.count))
      } else if Routes.isAdmin(request.head.path), !node.hasOwnAdminPort || request.role == .admin {
        routeAdmin(request, path)
      } else if Page.isDemo(path), !node.settings.servesDemo {
        answer(request, ErrorResponse.make(.notFound, "the demonstration pages are off: start the node with --demo on"))
      } else if let client = ClientLibrary.find(path) {
        get(request) { client.response(to: request.head) }
      } else if let page = Page.find(path) {
        get(request) { page.response() }
      } else {
        answer(request, ErrorResponse.make(.notFound, "no such path"))
      }
    }
  }

  /// The answer to a page that may not send requests here, or nil. Counted, and remembered for the log.
  private func refusalByOrigin(_ request: Request) -> Response? {
    let message: String
    switch node.origins.judge(request.head, isSecure: request.isSecure) {
    case .allowed: return nil
    case .unlisted: message = "this Origin is not in --origins"
    case .foreign: message = "a page of another site may not use this cookie: list it in --origins"
    }
    node.metrics.refusals.add(.origins)
    if let origin = request.head.value(.origin) { node.lastRefusedOrigin = RefusedOrigin.text(origin) }
    return ErrorResponse.make(.forbidden, message)
  }

  /// The client of Socket.IO, or where it can be had.
  private func socketIOClient() -> Response {
    guard let client = node.socketIOClient else {
      return .text(
        status: 404,
        """
        No client is served here: start the node with --socketio-client FILE. The official one is at \
        https://cdn.socket.io/ and in the npm package socket.io-client (dist/socket.io.min.js).

        """)
    }
    var response = Response(status: 200, contentType: "text/javascript; charset=utf-8", body: client)
    response.addHeader("Cache-Control", "no-cache")
    response.addHeader("X-Content-Type-Options", "nosniff")
    return response
  }

  private func answerEngine(_ request: Request) {
    let isEcho = Routes.isEchoEngine(request.head.path)
    guard isEcho ? table.limits.isEchoEnabled : node.settings.socketIO else {
      return answer(request, ErrorResponse.make(.notFound, "no such path"))
    }
    socketIO.answer(request, isEcho ? .echo : .socketIO)
  }

  /// With and without the slash that most clients add.
  private static func isEngine(_ path: [UInt8]) -> Bool {
    path.elementsEqual("/socket.io/".utf8) || path.elementsEqual("/socket.io".utf8) || isEchoEngine(path)
  }

  private static func isEchoEngine(_ path: [UInt8]) -> Bool {
    path.elementsEqual("/engine.io/".utf8) || path.elementsEqual("/engine.io".utf8)
  }

  private static let adminPath = Array("/admin".utf8)
  private static let sendPath = Array("/send".utf8)
  private static let hooksPath = Array("/hooks/".utf8)

  private static func isAdmin(_ path: [UInt8]) -> Bool {
    path.starts(with: adminPath) && (path.count == adminPath.count || path[adminPath.count] == UInt8(ascii: "/"))
  }

  private func routeAdmin(_ request: Request, _ path: String) {
    if path == "/admin" {
      get(request) { Routes.slashed(request.head) }
    } else if let page = Page.findDashboard(path) {
      get(request) { page.response() }
    } else if path == "/admin/live", Handshake.Request(request.head).upgrade != nil {
      openLive(request)
    } else {
      admin.answer(request)
    }
  }

  /// The dashboard's addresses are relative to its folder, as is this one (RFC 9110 section 10.2.2), so that a proxy may
  /// serve it below another path. Not to be stored, for the query may hold the token.
  private static func slashed(_ head: RequestHead) -> Response {
    var location = Array("admin/".utf8)
    if head.rawQuery.count > 0 { location.append(UInt8(ascii: "?")) }
    location.append(copying: head.rawQuery)
    var response = Response(status: 308)
    response.addHeader("Location", location.span)
    response.forbidStoring()
    return response
  }

  private func answer(_ request: Request, _ response: Response) { table.respond(request.connection, response) }

  private func get(_ request: Request, _ response: () -> Response) {
    guard request.head.method == .get || request.head.method == .head else {
      return answer(request, ErrorResponse.methodNotAllowed("GET"))
    }
    answer(request, response())
  }

  /// Sends a client that spoke plain HTTP to the same place under TLS, if its Host is one that the certificate is for,
  /// or the address that it has connected to: a Host that anybody can invent must lead nobody elsewhere, through a cache
  /// least of all (RFC 9110 section 15.5.20).
  private func redirection(_ request: Request) -> Response {
    let head = request.head
    guard node.settings.redirectPort != nil, let host = head.host else {
      return ErrorResponse.make(.badRequest, "this port speaks TLS: use https or wss")
    }
    let name = [UInt8](copying: host)
    guard table.tls?.isFor(host: name) == true || table.isLocalEnd(name, of: request.connection) else {
      var response = ErrorResponse.make(
        .badRequest, "no redirect: the certificate is not for this Host; ask for a name that it is for, with https",
        status: 421)
      response.forbidStoring()
      return response
    }
    var location = Array("https://".utf8)
    location.append(copying: host)
    // The port that was bound: with --port 0 the system chose it.
    let port = node.listeners.first.map { Int($0.port) } ?? node.settings.port
    if port != 443 { location += Array(":\(port)".utf8) }
    location += head.path
    if head.rawQuery.count > 0 { location.append(UInt8(ascii: "?")) }
    location.append(copying: head.rawQuery)
    var response = Response.text(status: 301, "use TLS\n")
    response.addHeader("Location", location.span)
    return response
  }

  /// 503 while a load balancer should send nobody here: while draining, and while the broker is out of reach.
  private func readiness() -> Response {
    if node.isDraining { return .text(status: 503, "draining\n") }
    guard let reason = node.redis?.unreadyReason else { return .text("ready\n") }
    return .text(status: 503, Array("\(reason)\n".utf8))
  }

  // MARK: WebSocket

  /// The acceptance of a valid handshake; nil: it was answered with what is wrong.
  private func acceptHandshake(_ request: Request) -> Handshake.Acceptance? {
    guard passesGate(request) else { return nil }
    switch Handshake.judge(Handshake.Request(request.head), deflate: node.settings.compression) {
    case .rejected(let rejection):
      var response = ErrorResponse.make(status: rejection.status, String(describing: rejection.reason))
      for (name, value) in rejection.headers where !Routes.isConnectionHeader(name) { response.addHeader(name, value) }
      answer(request, response)
      return nil
    case .accepted(let acceptance): return acceptance
    }
  }

  /// Opens an operator's WebSocket, also while the node drains: operators want to see that.
  private func openLive(_ request: Request) {
    if let acceptance = acceptHandshake(request) { live.open(request, acceptance) }
  }

  private func openWebSocket(_ request: Request, echo: Bool) {
    guard let acceptance = acceptHandshake(request), !refusesDraining(request) else { return }
    if echo { return table.upgrade(request, acceptance, echo: true) }
    let headers = node.connectHeaders(request.head)
    if node.settings.authentication != .none {
      // A browser cannot read a refused handshake: whatever the token is, the WebSocket opens and tells.
      table.upgrade(request, acceptance, echo: false)
      return table.openSession(
        request.connection, user: nil, token: UserToken.find(in: request.head, acceptance.subprotocols),
        headers: headers)
    }
    guard let user = node.userName(asked: request.head.query.first("user")) else {
      return answer(request, ErrorResponse.make(.badRequest, "user must be \(UserName.rule)"))
    }
    table.upgrade(request, acceptance, echo: false)
    table.openSession(request.connection, user: user, token: nil, headers: headers)
  }

  /// Whether a connection that stays may begin now; if not, the request was answered.
  private func admitsConnection(_ request: Request) -> Bool { passesGate(request) && !refusesDraining(request) }

  /// Whether a poll may be answered: one of a connection that is there also while the node drains.
  private func mayPoll(_ request: Request) -> Bool {
    if PollEndpoint.opens(request.head) { return admitsConnection(request) }
    return request.head.query.has("connection") || !refusesDraining(request)
  }

  /// Refuses what would stay while the node drains. Returns whether it did.
  private func refusesDraining(_ request: Request) -> Bool {
    guard node.isDraining else { return false }
    var response = ErrorResponse.make(.unavailable, "this node is draining: connect again, to another one")
    response.addHeader("Retry-After", "1")
    answer(request, response)
    return true
  }

  /// Sends a handshake away that comes faster than the node takes them, before it costs anything. Others come at their
  /// own moment: told the same one, they would be back together.
  private func passesGate(_ request: Request) -> Bool {
    guard !table.admitsHandshake(from: request.address) else { return true }
    node.metrics.refusals.add(.handshakes)
    var response = ErrorResponse.make(.unavailable, "too many handshakes at once: connect again in a moment")
    response.addHeader("Retry-After", Array(String(Int.random(in: HandshakeRateLimiter.retrySeconds)).utf8).span)
    answer(request, response)
    return false
  }

  /// The response writer sets `Connection` by itself.
  private static func isConnectionHeader(_ name: StaticString) -> Bool { name.utf8CodeUnitCount == 10 }
}
