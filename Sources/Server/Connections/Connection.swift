import HTTPCore
import LoopCore
import Realtime
import TimeCore
import WebSocketCore

/// One socket and the state of its bytes. What messages mean is its session's business.
///
/// Lives in a slab, not on the heap: an idle WebSocket owns no buffer, only this record and its address.
struct Connection: ~Copyable {
  enum Stage: UInt8 {
    /// Reading the header in which a trusted proxy names the client.
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
    /// An event stream: nothing that comes means anything.
    case eventStream
    /// A WebSocket that carries Engine.IO, and sessions of its own numbering.
    case engine
    /// A WebSocket of an operator, without a session.
    case admin
    /// A raw echo, for conformance tests.
    case echo
    /// A close frame was sent: waiting for the peer's.
    case closing
    /// Nothing more is queued: what is queued is sent.
    case finishing
    /// Everything is sent: the peer's end is awaited, because closing on unread bytes would reset the connection and
    /// could destroy the answer on its way (RFC 9112 section 9.6).
    case lingering
  }

  // The fields stand in an order that leaves no gaps: every idle connection owns this record.
  /// The peer's numeric address; of a WebSocket through a trusted proxy its client's.
  var address: [UInt8]
  let socket: Int32
  /// The listener that it came through, and so what it may ask for.
  var role: ListenerRole
  var stage: Stage
  // What a fan-out looks at stands here, beside the queue, so that a delivery touches few lines of the cache.
  var isDirty = false
  /// Whether a send of it is in the ring: nothing may be sent or queued before its result is known.
  var isSending = false
  var wantsWrite = false
  /// Whether the hub knows that the socket takes no more, and not yet that all is sent.
  var isUnwritable = false
  /// Why nothing is read for now; what was read already waits in `HeldInput`.
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
  /// What carries its bytes: the socket, or TLS over it.
  var wire: Wire
  private var storedSession = SlabID(index: .max, generation: 0)
  /// The wheel's tick at which the peer last sent anything.
  var lastReceived: UInt32
  /// The tick at which the stage began, for its deadline.
  var stageSince: UInt32
  /// The tick of the visit that counts; visits at other ticks are stale.
  var due: UInt32 = 0
  /// What its peer's kernel had acknowledged when that was last asked for, in bytes; the low half of it.
  var acknowledged: UInt32 = 0
  private var storedPingedAt: UInt32 = 0
  private var storedUnfinishedSince: UInt32 = 0
  /// Whether the first byte was looked at: it distinguishes TLS from plain HTTP.
  var isSniffed = false
  /// The window to compress with, 9 to 15 bits; 0: permessage-deflate was not agreed on.
  var deflateBits: UInt8 = 0
  /// Whether the peer closed first: it sends nothing more, so nothing needs to be awaited after the answer.
  var isPeerDone = false
  /// Whether an offered message was refused because too much waits, and space was not reported to the hub since.
  var hasRefusedOffers = false
  /// What it is counted as while it has a session, or may have one.
  var transport: Transport?
  /// Whether the connection limiter counts it.
  var isCounted = false
  /// Whether it has a place among the connections that may be idle for long.
  var isKeptLong = false
  private var marks: Marks = []

  /// What is true or not of connections of some transports, in one byte.
  private struct Marks: OptionSet {
    let rawValue: UInt8
    static let ownIDs = Marks(rawValue: 1)
    static let engine = Marks(rawValue: 2)
    static let admin = Marks(rawValue: 4)
  }

  init(socket: Int32, address: [UInt8], role: ListenerRole, wire: Wire, tick: UInt32) {
    self.socket = socket
    self.wire = wire
    stage = wire.tls == nil ? .request : .handshake
    self.address = address
    self.role = role
    lastReceived = tick
    stageSince = tick
    exchange = Exchange()
  }

  /// Whether a session may be given something.
  var isOpen: Bool { stage == .websocket || stage == .eventStream || stage == .engine }

  /// How a member of a room gets a block that goes to all.
  enum Way {
    /// Not at all: the connection is closing.
    case none
    /// To be asked again when its send in the ring has been made.
    case unsettled
    /// By a send of its own.
    case direct
    case queued
  }

  /// How a fan-out gives it a block.
  ///
  /// - Parameter isAlone: whether nothing else of this tick can be for it.
  @inline(__always)
  func way(isAlone: Bool) -> Way {
    guard isOpen else { return .none }
    guard !isSending else { return .unsettled }
    return (isAlone || rosterCount == 1) && outbox.isEmpty ? .direct : .queued
  }

  /// Whether a frame or a message has begun that is not complete. Asked through the connection, which is borrowed: asked of
  /// a reader in the table's slab, it would copy that.
  var isMidMessage: Bool { reader.isMidMessage }

  /// Whether it is an event stream whose ids are its own, and not those that its room's block has for all members.
  var hasOwnIDs: Bool {
    get { marks.contains(.ownIDs) }
    set { if newValue { marks.insert(.ownIDs) } else { marks.remove(.ownIDs) } }
  }

  /// Whether the number it keeps is that of an Engine.IO connection, and not that of a session.
  private var isEngine: Bool { marks.contains(.engine) }

  /// Whether it is, or was until it began to close, a WebSocket of an operator.
  var isOfOperator: Bool {
    get { marks.contains(.admin) }
    set { if newValue { marks.insert(.admin) } else { marks.remove(.admin) } }
  }

  /// The session's number in the hub, once there is one.
  var session: SlabID? {
    get { storedSession.index == .max || isEngine ? nil : storedSession }
    set { storedSession = newValue ?? SlabID(index: .max, generation: 0) }
  }

  /// The Engine.IO connection that it carries, and so the sessions of that; nil: it has one session of its own, or none.
  var engine: SlabID? {
    get { isEngine ? storedSession : nil }
    set {
      if newValue == nil { marks.remove(.engine) } else { marks.insert(.engine) }
      storedSession = newValue ?? SlabID(index: .max, generation: 0)
    }
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

/// What a listener is for, and so what its connections may ask for.
enum ListenerRole: UInt8 {
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
  /// Requests that have begun.
  var count: UInt32 = 0
  /// When the last one began, where the log wants to know.
  var beganAt = Instant.zero
  /// The wait of the request at hand, if it is a poll that waits; `PollWaits` owns it.
  var wait: PollWait?
  /// The Engine.IO connection whose poll it is, while that waits.
  var engine: SlabID?
  /// Bytes that arrived while a request was being answered, or before the answer was taken.
  var waiting = ReadAhead()
}
