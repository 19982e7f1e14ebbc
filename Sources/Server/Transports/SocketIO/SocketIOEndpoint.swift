import HTTPCore
import Realtime
import TimeCore
import WebSocketCore

/// `/socket.io/`: the requests of Engine.IO, polls and handshakes. Which node holds a connection its session id tells, so that
/// any node takes polls; an upgrade that reaches another node is declined, and its client goes on with polls. Confined to
/// the loop that created it.
final class SocketIOEndpoint {
  private let hub: Hub
  private let table: ConnectionTable
  private let forwarder: ConnectionForwarder
  /// What of a request goes along where others decide who may connect.
  private let headers: (RequestHead) -> [HeaderLine]
  /// Whether a connection that stays may begin now; if not, the request was answered.
  var admits: (Request) -> Bool = { _ in true }

  init(
    hub: Hub, table: ConnectionTable, forwarder: ConnectionForwarder, headers: @escaping (RequestHead) -> [HeaderLine]
  ) {
    self.hub = hub
    self.table = table
    self.forwarder = forwarder
    self.headers = headers
  }

  private var engines: EngineConnections { table.engines }

  /// The largest body in bytes: one that is just too large ends its connection.
  var bodyBytesMax: Int { engines.limits.payloadBytesMax + 1024 }

  /// - Parameter purpose: what the messages of a connection are that the request opens.
  func answer(_ request: Request, _ purpose: EngineConnection.Purpose) {
    let query = request.head.query
    let isWebSocket: Bool
    switch query.first("transport") {
    case Array("polling".utf8): isWebSocket = false
    case Array("websocket".utf8): isWebSocket = true
    default: return refuse(request, .unknownTransport)
    }
    guard query.first("EIO") == Array("4".utf8) else { return refuse(request, .unsupportedVersion) }
    let sid = query.first("sid")
    if isWebSocket {
      openWebSocket(request, sid, purpose)
    } else if let sid {
      poll(request, sid)
    } else if request.head.method != .get {
      refuse(request, .badMethod)
    } else if admits(request) {
      send(engines.open(purpose, address: request.address, handshake(of: request)), for: request)
    }
  }

  private func handshake(of request: Request, _ subprotocols: Subprotocols? = nil) -> EngineHandshake? {
    EngineHandshake(
      token: UserToken.find(in: request.head, subprotocols), user: request.head.query.first("user"),
      headers: headers(request.head))
  }

  // MARK: Polls

  private func poll(_ request: Request, _ sid: [UInt8]) {
    let kind: ConnectionQuestion.Kind
    // Official clients put the time there, so that no cache answers.
    let tag = request.head.query.first("t").flatMap { $0.count <= EngineLimits.tagBytesMax ? $0 : nil } ?? []
    switch request.head.method {
    case .get:
      kind = .enginePoll(
        milliseconds: (engines.limits.pingInterval + engines.limits.pingTimeout).milliseconds, tag: tag)
    case .post: kind = .enginePost(request.body)
    default: return refuse(request, .badMethod)
    }
    guard EngineID.node(of: sid) == hub.configuration.nodeID else {
      return forwarder.perform(ConnectionQuestion(kind, of: sid, by: nil)) { [weak self] in
        self?.send($0, for: request)
      }
    }
    if case .enginePost(let body) = kind {
      engines.post(sid, body) { [weak self] in self?.send($0, for: request) }
    } else {
      engines.poll(sid, on: request.connection, tag: tag) { [weak self] in self?.send($0, for: request) }
    }
  }

  private func send(_ answer: ConnectionAnswer, for request: Request) {
    var response: Response
    if answer.status != 200 {
      response = Response.json(status: answer.status, answer.body)
    } else if request.head.method == .post {
      response = Response(status: 200, contentType: "text/html", body: answer.body)
    } else {
      response = Response(status: 200, contentType: "text/plain; charset=UTF-8", body: answer.body)
    }
    response.forbidStoring()
    table.respond(request.connection, response)
  }

  private func refuse(_ request: Request, _ error: EngineError) { send(error.answer, for: request) }

  // MARK: WebSockets

  private func openWebSocket(_ request: Request, _ sid: [UInt8]?, _ purpose: EngineConnection.Purpose) {
    guard request.head.method == .get else { return refuse(request, .badMethod) }
    // Messages are compressed for all members of a room or for none: the official server does not by default.
    guard case .accepted(let acceptance) = Handshake.judge(Handshake.Request(request.head), deflate: false) else {
      return refuse(request, .badRequest)
    }
    guard let sid else {
      guard admits(request) else { return }
      return engines.open(request, acceptance, purpose, handshake(of: request, acceptance.subprotocols))
    }
    guard let engine = engines.store.find(sid) else { return refuse(request, .unknownSession) }
    guard engines.upgrade(engine, request, acceptance) else { return refuse(request, .badRequest) }
  }
}
