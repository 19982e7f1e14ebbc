import HTTPCore
import LoopCore
import WebSocketCore

/// One connection of the generator.
struct Client {
  enum Stage: UInt8 {
    case vacant
    case connecting
    /// The TLS handshake is under way.
    case securing
    case upgrading
    case open
    /// A close frame was sent; the server's is awaited (RFC 6455 section 7.1.1).
    case closing
  }

  var socket: Int32 = -1
  var stage = Stage.vacant
  /// Nil without TLS.
  var tls: TLSSession?
  var isDirty = false
  var wantsWrite = false
  /// Whether its bytes come through the ring, not by readiness.
  var isInRing = false
  /// Tells this connection from others that had or will have the same number.
  var opening: UInt32 = 0
  /// The number that the next message must have; 0 until a probe came through.
  var expected: UInt32 = 0
  /// Answers of the server that the load still waits for before the client counts as ready.
  var awaited: UInt32 = 0
  /// Nanoseconds of the monotonic clock at which connecting began.
  var startedAt: UInt64 = 0
  var reader = Client.freshReader(deflate: false)
  /// Reads the answer to the handshake; nil afterwards.
  var answer: ResponseParser?
  var outgoing: [UInt8] = []
  /// Bytes of `outgoing` that are sent.
  var sent = 0

  static let messageBytesMax = 17 << 20

  static func freshReader(deflate: Bool) -> MessageReader {
    MessageReader(role: .client, messageBytesMax: messageBytesMax, deflate: deflate)
  }
}
