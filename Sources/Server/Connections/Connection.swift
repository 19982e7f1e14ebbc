import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

/// One socket and where its bytes stand. What they mean is its session's business.
///
/// Lives in the table's slab, not on the heap: an idle WebSocket owns no buffer, only this record and its address.
struct Connection: ~Copyable {
  enum Stage: UInt8 {
    /// Reading the header by which a trusted proxy says whom the connection is for.
    case preamble
    /// Agreeing on TLS.
    case handshake
    /// Reading a request, the first one of a connection or one that has begun.
    case request
    /// Waiting for the next request on a kept connection; the last answer may still be on its way.
    case idle
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

  // The fields stand in an order that leaves no gaps: every idle connection owns this record.
  /// The peer's numeric address; of a WebSocket behind a trusted proxy its client's.
  var address: [UInt8]
  let socket: Int32
  /// Which door it came through, and so what it may ask for.
  var entrance: Entrance
  var stage: Stage
  // What a fan-out looks at stands here, beside the queue, so that a delivery touches few lines of the cache.
  var isDirty = false
  /// Whether a send of it is in the table's ring, so that nothing may be sent or queued before it is known what came of it.
  var isSending = false
  var wantsWrite = false
  /// Whether the hub was told that the socket takes no more, and not yet that all is sent.
  var isBehind = false
  /// Why nothing is read for now; what was read already waits in the table.
  var pauses: Pauses = []
  var isPaused: Bool { !pauses.isEmpty }
  /// Whether the hub waits for its queue to have room again.
  var awaitsRoom = false
  /// Rosters of rooms that it stands in.
  var rosterCount: Int32 = 0
  var outbox = Outbox()
  /// The wheel's tick at which its socket has last taken anything of a queue that it could not take whole.
  var takenAt: UInt32 = 0
  var reader = MessageReader(role: .server, messageBytesMax: 0, deflate: false)
  /// The request at hand; nil once it is a WebSocket.
  var exchange: Exchange?
  /// The TLS layer, or nil for a plain connection.
  var tls: TLSSession?
  private var storedSession = SlabID(index: .max, generation: 0)
  /// The wheel's tick at which the peer was last heard.
  var lastHeard: UInt32
  /// The tick at which the stage began, for its deadline.
  var stageSince: UInt32
  /// The tick of the visit that counts; visits at other ticks are stale.
  var due: UInt32 = 0
  /// What its peer's kernel had acknowledged when that was last asked for, in bytes; the low half of it.
  var acknowledged: UInt32 = 0
  private var storedPingedAt: UInt32 = 0
  private var storedUnfinishedSince: UInt32 = 0
  /// Whether the first byte was looked at: it tells TLS from plain HTTP.
  var isSniffed = false
  /// The window to compress with, 9 to 15 bits; 0: permessage-deflate was not agreed on.
  var deflateBits: UInt8 = 0
  /// Whether the peer said goodbye first: it sends nothing more, so nothing needs to be awaited after our answer.
  var isPeerDone = false
  /// Whether a message that nobody asked for was refused because too much waits, and the hub was not told that there is space.
  var hasRefusedOffers = false
  var isWebSocket = false
  /// Whether it stands in the tally of its address.
  var isCounted = false
  /// Whether it has a place among the connections that may be idle for long.
  var isKeptLong = false

  init(socket: Int32, address: [UInt8], entrance: Entrance, tls: TLSSession?, tick: UInt32) {
    self.socket = socket
    self.tls = tls
    stage = tls == nil ? .request : .handshake
    self.address = address
    self.entrance = entrance
    lastHeard = tick
    stageSince = tick
    exchange = Exchange()
  }

  /// Whether a frame or a message has begun that is not complete. Asked through the connection, which is borrowed: asked of
  /// a reader in the table's slab, it would copy that.
  var isMidMessage: Bool { reader.isMidMessage }

  /// The session's number in the hub, once there is one.
  var session: SlabID? {
    get { storedSession.index == .max ? nil : storedSession }
    set { storedSession = newValue ?? SlabID(index: .max, generation: 0) }
  }

  /// The tick of the ping that waits for an answer.
  var pingedAt: UInt32? {
    get { Connection.tick(storedPingedAt) }
    set { storedPingedAt = Connection.stored(newValue) }
  }

  /// The tick at which the message, or the control frame, that is not complete was first seen; nil: there is none.
  var unfinishedSince: UInt32? {
    get { Connection.tick(storedUnfinishedSince) }
    set { storedUnfinishedSince = Connection.stored(newValue) }
  }

  // A tick that may be missing is kept as its successor, and none as zero: in four bytes instead of eight.
  private static func tick(_ stored: UInt32) -> UInt32? { stored == 0 ? nil : stored &- 1 }
  private static func stored(_ tick: UInt32?) -> UInt32 { tick.map { $0 &+ 1 } ?? 0 }
}

/// Why a connection is not read.
struct Pauses: OptionSet {
  let rawValue: UInt8
  /// The broker cannot follow.
  static let broker = Pauses(rawValue: 1)
  /// It does not take its own answers.
  static let queue = Pauses(rawValue: 2)
  /// It will be read again at the end of the tick.
  static let resuming = Pauses(rawValue: 4)
}

/// The listener that a connection came through.
enum Entrance: UInt8 {
  /// The public port.
  case main
  /// The admin port, when it is another one.
  case admin
  /// Plain HTTP where TLS is served: everything is answered by where to go.
  case redirect
}

/// The HTTP side of a connection: the request being read and its body. Confined to the table's loop.
final class Exchange {
  var parser = RequestParser()
  var head: RequestHead?
  var bodyReader: BodyReader?
  /// Bytes that arrived while a request was being answered, or before the answer was taken.
  var waiting = ReadAhead()
}
