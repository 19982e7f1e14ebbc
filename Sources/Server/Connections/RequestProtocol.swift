import HTTPCore
import JSONCore
import LoopCore
import Realtime
import TimeCore
import WebSocketCore

/// A request whose head and body have come.
package struct Request {
  /// The connection that it came on, for the answer.
  let connection: SlabID
  let head: RequestHead
  let body: [UInt8]
  /// The client's numeric address.
  let address: [UInt8]
  let role: ListenerRole
  /// Whether it came by TLS, to the node or to a proxy that states it in X-Forwarded-Proto. A client that invents the
  /// header only makes its own origin be judged more strictly.
  let isSecure: Bool
  let name: RequestID
}

extension Request {
  /// A request that came on no listener's socket: for a caller that drives an endpoint by itself.
  package init(connection: SlabID, head: RequestHead, body: [UInt8], address: [UInt8]) {
    self.init(
      connection: connection, head: head, body: body, address: address, role: .main, isSecure: false,
      name: RequestID(node: [], connection: connection, number: 0))
  }

  /// What the log calls it.
  var id: [UInt8] { name.text(head) }
}

/// Answers requests, at once or later, through `ConnectionTable.respond`.
protocol RequestRouter: AnyObject {
  func route(_ request: Request)
  /// Adds to every answer what does not depend on the path.
  func decorate(_ response: inout Response, for head: RequestHead)
  /// Whether it adds anything to the answer to a request.
  func decorates(_ head: RequestHead) -> Bool
  /// The largest body that the path of `head` takes, in bytes.
  func bodyBytesMax(_ head: RequestHead) -> Int
  /// The answer to a request whose body is larger than that.
  func bodyRefusal(_ head: RequestHead) -> Response
}

extension RequestRouter {
  func decorates(_ head: RequestHead) -> Bool { true }

  func bodyRefusal(_ head: RequestHead) -> Response { ErrorResponse.make(.tooLarge, "the body is too large") }
}

extension RequestHead {
  /// The size of a body that has more than `max` bytes, as far as it is known before it has come.
  func bodySize(over max: Int) -> String {
    if case .length(let count) = framing { "\(count) bytes" } else { "more than \(max) bytes" }
  }
}

/// The HTTP side of connections: requests are read, given to the router, and answered.
final class RequestProtocol {
  /// Bytes of a body that are copied after its head; a longer one is sent from where it is.
  private static let copiedBodyBytesMax = 4096

  private let connections: ConnectionStore
  private let timers: ConnectionTimers
  private let queues: SendQueues
  private let webSockets: WebSocketProtocol
  private let polls: PollWaits
  private let peers: PeerGuard
  private let metrics: Metrics
  /// The log, when it takes what happens to connections.
  private let trace: Log?
  /// The id of the node.
  private let node: [UInt8]
  /// Answers requests. Set once, before the first connection.
  weak var router: (any RequestRouter)?
  weak var host: (any ConnectionHost)?

  init(
    _ connections: ConnectionStore, timers: ConnectionTimers, queues: SendQueues, webSockets: WebSocketProtocol,
    polls: PollWaits, peers: PeerGuard, metrics: Metrics, node: [UInt8], trace: Log?
  ) {
    self.connections = connections
    self.timers = timers
    self.queues = queues
    self.webSockets = webSockets
    self.polls = polls
    self.peers = peers
    self.metrics = metrics
    self.node = node
    self.trace = trace
  }

  /// Takes the requests in `bytes` until they are used up or the connection leaves its stage.
  func read(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    guard let exchange = connections[id.index].exchange else {
      host?.drop(id.index)
      return
    }
    // Safe because nothing writes to the buffer while the parsers look at it.
    let span = UnsafeRawBufferPointer(bytes).assumingMemoryBound(to: UInt8.self).span
    if exchange.head == nil {
      switch exchange.parser.next(in: span, from: &cursor) {
      case .needMore: return
      case .failed(let status, let reason): return refuse(id, status: status, reason)
      case .request(let head): begin(head, exchange, id)
      }
    }
    guard exchange.bodyReader != nil, let head = exchange.head else { return }
    switch exchange.bodyReader!.next(in: span, from: &cursor) {  // Safe because it was just seen.
    case .needMore: return
    case .failed(413, _):
      guard let response = router?.bodyRefusal(head) else { return }
      refuse(id, response.status, "body too long", decorated(response, for: head, on: id.index))
    case .failed(let status, let reason): refuse(id, status: status, reason)
    case .complete(let body):
      exchange.bodyReader = nil
      timers.enter(.answering, id.index)
      let role = connections[id.index].role
      router?.route(
        Request(
          connection: id, head: head, body: body,
          address: peers.client(of: head, from: connections[id.index].address, role), role: role,
          isSecure: connections[id.index].wire.tls != nil || RequestProtocol.cameByTLS(head), name: name(id, exchange)))
    }
  }

  private func name(_ id: SlabID, _ exchange: Exchange) -> RequestID {
    // One that could not be read is the next.
    RequestID(node: node, connection: id, number: exchange.head == nil ? exchange.count &+ 1 : exchange.count)
  }

  /// Whether the first proxy states that the client came by TLS: each proxy appends its element.
  private static func cameByTLS(_ head: RequestHead) -> Bool {
    guard let schemes = head.list(.forwardedProtocol) else { return false }
    let first = schemes.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: " ") }
    return first.map { $0 | 0x20 }.elementsEqual("https".utf8)
  }

  private func begin(_ head: RequestHead, _ exchange: Exchange, _ id: SlabID) {
    exchange.head = head
    exchange.count &+= 1
    if trace != nil { exchange.beganAt = Clock.instant() }
    exchange.bodyReader = BodyReader(head.framing, bodyBytesMax: router?.bodyBytesMax(head) ?? 0)
    if head.expectsContinue { queues.append(to: id.index) { Response.appendContinue(to: &$0) } }
  }

  /// Answers what could not be understood, and closes: where the next request begins is unknown.
  private func refuse(_ id: SlabID, status: Int, _ reason: StaticString) {
    refuse(id, status, reason, ErrorResponse.make(status: status, String(describing: reason)))
  }

  private func refuse(_ id: SlabID, _ status: Int, _ reason: StaticString, _ response: Response) {
    metrics.requestsRefused += 1
    if let trace, let exchange = connections[id.index].exchange {
      let name = name(id, exchange).text(exchange.head)
      trace.debug(
        "request refused", ("request", Log.text(name)), ("address", Log.text(connections[id.index].address)),
        ("status", status), ("reason", "\(reason)"))
    }
    queues.append(to: id.index) { response.append(to: &$0, connection: .close) }
    queues.finish(id.index)
  }

  /// Answers the request at hand, if its connection is still there.
  func respond(_ id: SlabID, _ response: Response) {
    guard connections.contains(id), connections[id.index].stage == .answering,
      let exchange = connections[id.index].exchange, let head = exchange.head
    else { return }
    log(response, to: head, exchange, id)
    var response = decorated(response, for: head, on: id.index)
    // Whom an error keeps from working can tell which line of the log is about it.
    if response.status >= 400 { response.addHeader("X-Request-ID", name(id, exchange).text(head).span) }
    queues.append(to: id.index) { response.appendHead(to: &$0, connection: ConnectionOption(answering: head)) }
    let content = response.content(answering: head.method)
    if content.count > RequestProtocol.copiedBodyBytesMax {
      // A page is one block that all its readers share.
      queues.push(content, to: id.index)
    } else {
      queues.append(to: id.index) { $0.append(contentsOf: content) }
    }
    conclude(exchange, head, id.index)
  }

  /// One line for each request, whatever became of it.
  private func log(_ response: Response, to head: RequestHead, _ exchange: Exchange, _ id: SlabID) {
    guard let trace else { return }
    trace.traceAnswer(
      to: head, response, address: connections[id.index].address, request: name(id, exchange).text(head),
      Clock.instant() - exchange.beganAt)
  }

  /// Answers the request at hand with bytes that many share, where nothing is to be added to them.
  ///
  /// - Parameters:
  ///   - response: the same, made for the others only.
  ///   - bytes: the response as it leaves on a connection that goes on by itself.
  func respond(_ id: SlabID, _ response: () -> Response, sharedBytes bytes: [UInt8]) {
    guard connections.contains(id), connections[id.index].stage == .answering,
      let exchange = connections[id.index].exchange, let head = exchange.head
    else { return }
    guard head.keepAlive, head.versionMinor == 1, head.method == .get, connections[id.index].wire.tls == nil,
      router?.decorates(head) == false
    else { return respond(id, response()) }
    if trace != nil { log(response(), to: head, exchange, id) }
    queues.push(bytes, to: id.index)
    conclude(exchange, head, id.index)
  }

  private func conclude(_ exchange: Exchange, _ head: RequestHead, _ index: UInt32) {
    polls.end(exchange)
    exchange.engine = nil
    exchange.head = nil
    if head.keepAlive { timers.enter(.idle, index) } else { queues.finish(index) }
  }

  /// Answers the request at hand with the head of a response whose body follows piece by piece. Returns false when the
  /// connection is gone.
  func beginStream(_ id: SlabID, _ response: Response) -> Bool {
    guard connections.contains(id), connections[id.index].stage == .answering,
      let head = connections[id.index].exchange?.head
    else { return false }
    let response = decorated(response, for: head, on: id.index)
    queues.append(to: id.index) { response.appendHead(to: &$0, connection: .close) }
    return true
  }

  /// Adds what does not depend on the path.
  private func decorated(_ response: Response, for head: RequestHead, on index: UInt32) -> Response {
    var response = response
    router?.decorate(&response, for: head)
    // RFC 6797 section 7.1: a client that came by TLS shall keep to it, for half a year.
    if connections[index].wire.tls != nil { response.addHeader("Strict-Transport-Security", "max-age=15768000") }
    return response
  }

  /// Answers a valid handshake: from here on the connection is a WebSocket, and its client's alone. A client with too
  /// many of them is refused.
  func upgrade(_ request: Request, _ acceptance: Handshake.Acceptance, echo: Bool) {
    let id = request.connection
    guard connections.contains(id), connections[id.index].stage == .answering else { return }
    guard peers.claim(request, &connections[id.index]) else { return respond(id, PeerGuard.makeAddressRefusal()) }
    accept(id.index, acceptance)
    webSockets.begin(id.index, deflate: acceptance.deflate, echo: echo)
  }

  private func accept(_ index: UInt32, _ acceptance: Handshake.Acceptance) {
    let accept = Base64.encode(Digest.sha1(acceptance.challenge).span)
    queues.append(to: index) { Handshake.appendResponse(acceptance, accept: accept.span, to: &$0) }
  }

  /// The same for a connection that is to carry an Engine.IO connection. Returns whether it is a WebSocket now.
  func upgrade(
    _ request: Request, _ acceptance: Handshake.Acceptance, engine: SlabID, messageBytesMax: Int
  ) -> Bool {
    let id = request.connection
    guard connections.contains(id), connections[id.index].stage == .answering else { return false }
    guard peers.claim(request, &connections[id.index]) else {
      respond(id, PeerGuard.makeAddressRefusal())
      return false
    }
    accept(id.index, acceptance)
    webSockets.begin(id.index, engine: engine, messageBytesMax: messageBytesMax)
    return true
  }

  /// The same for an operator's WebSocket. Returns whether it is one now.
  func upgrade(_ request: Request, _ acceptance: Handshake.Acceptance, operatorMessageBytesMax: Int) -> Bool {
    let id = request.connection
    guard connections.contains(id), connections[id.index].stage == .answering else { return false }
    guard peers.claim(request, &connections[id.index]) else {
      respond(id, PeerGuard.makeAddressRefusal())
      return false
    }
    accept(id.index, acceptance)
    webSockets.begin(id.index, operatorMessageBytesMax: operatorMessageBytesMax, deflate: acceptance.deflate)
    return true
  }
}
