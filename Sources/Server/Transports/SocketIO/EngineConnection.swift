import LoopCore
import Realtime
import SocketIOCore

/// One connection of Engine.IO: a WebSocket, or polls that any node may get. Lives in a slab; with a WebSocket it owns nothing
/// on the heap.
struct EngineConnection: ~Copyable {
  /// What its messages are.
  enum Purpose: UInt8 {
    case socketIO
    /// Echoed as they come, for conformance tests.
    case echo
  }

  let key: EngineKey
  private var storedWebSocket: UInt32 = .max
  private var storedFirst: UInt32 = .max
  /// The moments at which deadlines are due, as `EngineTimers` numbers them; 0: none.
  var pingDue: UInt32 = 0
  var connectDue: UInt32 = 0
  /// Namespaces it has asked for.
  var connectCount: UInt16 = 0
  /// Its sockets.
  var socketCount: UInt8 = 0
  /// Sockets whose sessions are read no further for now.
  var pauseCount: UInt8 = 0
  let purpose: Purpose
  /// Whether the last ping was not answered.
  var awaitsPong = false
  /// Whether a socket of it was ended by this node: what its client sent to that before it knew is ignored.
  var hasDismissed = false
  /// Whether it takes nothing more.
  var isClosing = false
  /// Gathers a packet and its attachments.
  var assembler: PacketAssembler
  /// What polls need; nil once it is a WebSocket.
  var polling: EnginePolling?
  /// What came with its first request and may be needed by a namespace; nil: nothing.
  let handshake: EngineHandshake?

  init(key: EngineKey, purpose: Purpose, bytesMax: Int, polling: EnginePolling?, handshake: EngineHandshake?) {
    self.key = key
    self.purpose = purpose
    self.polling = polling
    self.handshake = handshake
    assembler = PacketAssembler(bytesMax: bytesMax)
  }

  /// The connection in the table that carries its packets; nil: polls do.
  var webSocket: UInt32? {
    get { storedWebSocket == .max ? nil : storedWebSocket }
    set { storedWebSocket = newValue ?? .max }
  }

  /// The first of its sockets, which are linked; nil: there is none.
  var firstSocket: UInt32? {
    get { storedFirst == .max ? nil : storedFirst }
    set { storedFirst = newValue ?? .max }
  }
}

/// What a client's first request brought besides its transport. Kept only where a namespace may need it.
final class EngineHandshake {
  /// The user's token, or nil.
  let token: [UInt8]?
  /// The user it asks to be, where names are believed, or nil.
  let user: [UInt8]?
  /// The headers that go along where others decide who may connect.
  let headers: [HeaderLine]

  init?(token: [UInt8]?, user: [UInt8]?, headers: [HeaderLine]) {
    if token == nil, user == nil, headers.isEmpty { return nil }
    (self.token, self.user, self.headers) = (token, user, headers)
  }
}

/// The state of an Engine.IO connection while polls carry it.
final class EnginePolling {
  /// Takes one answer, once.
  typealias Reply = (ConnectionAnswer) -> Void

  /// A request whose packets are not all taken yet.
  struct Post {
    let body: [UInt8]
    /// Where the next packet begins.
    var position = 0
    let reply: Reply
  }

  /// A WebSocket that is about to take over.
  struct Upgrade {
    let webSocket: UInt32
    /// Whether the probe was answered: polls are answered at once, so that the client can end them.
    var isProbed = false
  }

  /// The client's numeric address, which is counted.
  let address: [UInt8]
  var queue = PollQueue(separator: EnginePayloadReader.separator)
  /// Answers the poll that waits.
  var waiter: Reply?
  /// The connection of this node on which it waits; nil: another node's.
  var waiterConnection: SlabID?
  /// Whether another node passes it on.
  var isForwarded = false
  /// What tells its request from others; empty: nothing.
  var waiterTag: [UInt8] = []
  /// What another node was given last, and for which request: the same request, repeated, gets the same again.
  var given: (tag: [UInt8], answer: ConnectionAnswer)?
  var post: Post?
  var upgrade: Upgrade?
  var upgradeDue: UInt32 = 0
  /// Whether it stands in the list for the end of the tick.
  var isDirty = false
  /// Whether nothing more is taken of requests before its queue has room.
  var isFull = false
  var awaitsRoom = false
  var hasRefusedOffers = false
  /// Whether the hub knows that it takes no more, of rooms whose rule spares slow readers.
  var isUnwritable = false

  init(address: [UInt8]) { self.address = address }
}
