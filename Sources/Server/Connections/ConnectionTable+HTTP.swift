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
}

extension Request {
  /// A request that came on no listener's socket: for what drives an endpoint by itself.
  package init(connection: SlabID, head: RequestHead, body: [UInt8], address: [UInt8]) {
    self.init(connection: connection, head: head, body: body, address: address, entrance: .main)
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
          entrance: connections[id.index].entrance))
    }
  }

  private func begin(_ head: RequestHead, _ exchange: Exchange, _ id: SlabID) {
    exchange.head = head
    exchange.bodyReader = BodyReader(head.framing, bodyBytesMax: router?.bodyBytesMax(head) ?? 0)
    if head.expectsContinue { append(to: id.index) { Response.appendContinue(to: &$0) } }
  }

  /// Answers what could not be understood, and closes: where the next request begins is unknown.
  private func refuse(_ id: SlabID, status: Int, _ reason: StaticString) {
    metrics.requestsRefused += 1
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
    var response = response
    router?.decorate(&response, for: head)
    // RFC 6797 section 7.1: whoever came by TLS shall keep to it, for half a year.
    if connections[id.index].tls != nil { response.addHeader("Strict-Transport-Security", "max-age=15768000") }
    append(to: id.index) {
      response.append(to: &$0, answering: head.method, connection: ConnectionOption(answering: head))
    }
    exchange.head = nil
    guard head.keepAlive else { return finish(id.index) }
    enter(.request, id.index)
    guard !exchange.waiting.isEmpty else { return }
    var waiting: [UInt8] = []
    swap(&waiting, &exchange.waiting)
    updateInterest(id.index)
    // Safe because the bytes are this call's own.
    waiting.withUnsafeMutableBytes { consume(id, $0) }
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
