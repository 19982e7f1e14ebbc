import HTTPCore
import JSONCore
import LoopCore
import Realtime
import WebSocketCore

/// A request whose head and body have come.
package struct Request {
  /// The connection that it came on, for the answer.
  let connection: SlabID
  let head: RequestHead
  let body: [UInt8]
  /// The client's numeric address.
  let address: [UInt8]
  let entrance: Entrance
  /// Whether it came by TLS, to the node or to a proxy that says so in X-Forwarded-Proto. A client that invents the
  /// header only makes its own origin be judged more strictly.
  let isSecure: Bool
}

extension Request {
  /// A request that came on no listener's socket: for what drives an endpoint by itself.
  package init(connection: SlabID, head: RequestHead, body: [UInt8], address: [UInt8]) {
    self.init(connection: connection, head: head, body: body, address: address, entrance: .main, isSecure: false)
  }
}

/// Answers requests, at once or later, through `ConnectionTable.respond`.
protocol RequestRouter: AnyObject {
  func route(_ request: Request)
  /// Adds to every answer what does not depend on the path.
  func decorate(_ response: inout Response, for head: RequestHead)
  /// The largest body that the path of `head` takes, in bytes.
  func bodyBytesMax(_ head: RequestHead) -> Int
}

extension ConnectionTable {
  func readRequest(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    guard let exchange = connections[id.index].exchange else { return drop(id.index) }
    // Safe because nobody writes to the buffer while the parsers look at it.
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
    case .failed(let status, let reason): refuse(id, status: status, reason)
    case .complete(let body):
      exchange.bodyReader = nil
      enter(.answering, id.index)
      router?.route(
        Request(
          connection: id, head: head, body: body, address: client(of: head, on: id.index),
          entrance: connections[id.index].entrance,
          isSecure: connections[id.index].tls != nil || ConnectionTable.cameByTLS(head)))
    }
  }

  /// Whether the first proxy says that the client came by TLS: each proxy adds its element behind.
  private static func cameByTLS(_ head: RequestHead) -> Bool {
    guard let schemes = head.list(.forwardedProtocol) else { return false }
    let first = schemes.prefix { $0 != UInt8(ascii: ",") && $0 != UInt8(ascii: " ") }
    return first.map { $0 | 0x20 }.elementsEqual("https".utf8)
  }

  private func begin(_ head: RequestHead, _ exchange: Exchange, _ id: SlabID) {
    exchange.head = head
    exchange.bodyReader = BodyReader(head.framing, bodyBytesMax: router?.bodyBytesMax(head) ?? 0)
    if head.expectsContinue { append(to: id.index) { Response.appendContinue(to: &$0) } }
  }

  /// Answers what could not be understood, and closes: where the next request begins is unknown.
  private func refuse(_ id: SlabID, status: Int, _ reason: StaticString) {
    metrics.requestsRefused += 1
    trace?.debug(
      "request refused", ("address", Log.text(connections[id.index].address)), ("status", status),
      ("reason", "\(reason)"))
    append(to: id.index) {
      ErrorResponse.make(status: status, String(describing: reason)).append(to: &$0, connection: .close)
    }
    finish(id.index)
  }

  /// Answers the request at hand, if its connection is still there.
  func respond(_ id: SlabID, _ response: Response) {
    guard connections.contains(id), connections[id.index].stage == .answering,
      let exchange = connections[id.index].exchange, let head = exchange.head
    else { return }
    traceRefusal(id.index, head, response)
    var response = response
    router?.decorate(&response, for: head)
    // RFC 6797 section 7.1: whoever came by TLS shall keep to it, for half a year.
    if connections[id.index].tls != nil { response.addHeader("Strict-Transport-Security", "max-age=15768000") }
    append(to: id.index) { response.appendHead(to: &$0, connection: ConnectionOption(answering: head)) }
    let content = response.content(answering: head.method)
    if content.count > ConnectionTable.copiedBodyBytesMax {
      // A page is one block that all its readers share.
      connections[id.index].outbox.push(content)
    } else {
      append(to: id.index) { $0.append(contentsOf: content) }
    }
    exchange.head = nil
    if head.keepAlive { enter(.idle, id.index) } else { finish(id.index) }
  }

  /// Bytes of a body that are copied behind its head; a longer one is sent from where it is.
  private static let copiedBodyBytesMax = 4096

  /// Goes on with the requests that came before the last answer was sent. A connection that still has something to send
  /// parses no further one, so what is queued for it is bounded by one answer, and one tick answers one.
  func continueRequests() {
    guard !continuing.isEmpty else { return }
    var ids: [SlabID] = []
    swap(&ids, &continuing)
    for id in ids where connections.contains(id) && connections[id.index].stage == .idle {
      guard let exchange = connections[id.index].exchange, connections[id.index].outbox.isEmpty else { continue }
      // Taken out, because the request may be answered, and more kept, in the middle of it.
      var waiting = ReadAhead()
      swap(&waiting, &exchange.waiting)
      waiting.take { consume(id, $0) }
      guard connections.contains(id) else { continue }
      connections[id.index].exchange?.waiting = waiting
      updateInterest(id.index)
      // What OpenSSL holds already is no event of the socket.
      if connections[id.index].tls?.holdsBytes == true { read(id.index) }
    }
  }

  /// Answers a handshake that was judged good: from here on the connection is a WebSocket, and its client's alone. A
  /// client with too many of them is refused.
  func upgrade(_ request: Request, _ acceptance: Handshake.Acceptance, echo: Bool) {
    let id = request.connection
    guard connections.contains(id), connections[id.index].stage == .answering else { return }
    guard claim(request) else { return respond(id, ConnectionTable.makeAddressRefusal()) }
    let accept = Base64.encode(Digest.sha1(acceptance.challenge).span)
    append(to: id.index) { Handshake.appendResponse(acceptance, accept: accept.span, to: &$0) }
    becomeWebSocket(id.index, deflate: acceptance.deflate, echo: echo)
  }
}
