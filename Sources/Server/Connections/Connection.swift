import HTTPCore
import Realtime
import WebSocketCore

/// One socket and where its bytes stand. What they mean is its session's business.
///
/// Lives in the table's slab, not on the heap: an idle WebSocket owns no buffer, only this record and its address.
struct Connection: ~Copyable {
  enum Stage: UInt8 {
    /// Reading a request, or waiting for the next one on a kept connection.
    case request
    /// A request is being answered; further bytes wait in the exchange.
    case answering
    case websocket
    /// A raw echo, for conformance tests.
    case echo
    /// A close frame was sent: waiting for the peer's.
    case closing
    /// Everything is said: what is queued is sent.
    case finishing
    /// Everything is sent: the peer's end is awaited, because closing on unread bytes would reset the connection and
    /// could destroy the answer on its way (RFC 9112 section 9.6).
    case lingering
  }

  let socket: Int32
  let address: [UInt8]
  /// Whether it came through the admin port.
  let isAdminSide: Bool
  var stage = Stage.request
  var outbox = Outbox()
  var reader = MessageReader(role: .server, messageBytesMax: 0, deflate: false)
  /// The request at hand; nil once it is a WebSocket.
  var exchange: Exchange?
  /// The session's number in the hub, once there is one.
  var session: SlabID?
  /// The wheel's tick at which the peer was last heard.
  var lastHeard: UInt32
  /// The tick at which the stage began, for its deadline.
  var stageSince: UInt32
  /// The tick of the visit that counts; visits at other ticks are stale.
  var due: UInt32 = 0
  /// The tick of the ping that waits for an answer.
  var pingedAt: UInt32?
  var isDirty = false
  var wantsWrite = false
  var isWebSocket = false

  init(socket: Int32, address: [UInt8], isAdminSide: Bool, tick: UInt32) {
    self.socket = socket
    self.address = address
    self.isAdminSide = isAdminSide
    lastHeard = tick
    stageSince = tick
    exchange = Exchange()
  }
}

/// The HTTP side of a connection: the request being read and its body. Confined to the table's loop.
final class Exchange {
  var parser = RequestParser()
  var head: RequestHead?
  var bodyReader: BodyReader?
  var body: [UInt8] = []
  /// Bytes that arrived while a request was being answered.
  var waiting: [UInt8] = []
}
