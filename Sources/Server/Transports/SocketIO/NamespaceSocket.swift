import ClientProtocol
import Realtime
import SocketIOCore

/// One connection of a client to a namespace: a session of the hub over an Engine.IO connection that it shares with those to
/// other namespaces. Lives in a slab.
struct NamespaceSocket: ~Copyable {
  let engine: SlabID
  private var storedSession = SlabID(index: .max, generation: 0)
  /// The next socket of the same connection; `UInt32.max`: it is the last.
  var next: UInt32 = .max
  /// The WebSocket to which a room's batch goes, of a socket whose client knows that it is connected; `UInt32.max`: there is none,
  /// or the batch is to be looked at.
  var direct: UInt32 = .max
  /// Rosters of rooms that it stands in.
  var rosterCount: Int32 = 0
  /// Whether it takes nothing more.
  var hasEnded = false
  /// Whether its session is read no further for now.
  var isPaused = false
  /// The namespace with its slash; empty: the main one.
  let namespace: [UInt8]
  /// The rooms it is in, unless it is in its default room alone.
  var rooms: SocketRooms?
  /// What goes on before its client knows that it is connected; nil: it knows.
  var opening: SocketOpening?

  init(engine: SlabID, namespace: [UInt8]) {
    self.engine = engine
    self.namespace = namespace
  }

  /// The session's number in the hub, once there is one.
  var session: SlabID? {
    get { storedSession.index == .max ? nil : storedSession }
    set { storedSession = newValue ?? SlabID(index: .max, generation: 0) }
  }

  /// Whether its client has received that it is connected, and it is.
  var isConnected: Bool { opening == nil && !hasEnded }

  /// The name of its namespace's default room: one array for all sockets of a namespace.
  var defaultRoom: [UInt8] { namespace.isEmpty ? NamespaceSocket.mainDefaultRoom : namespace }

  private static let mainDefaultRoom: [UInt8] = {
    var room: [UInt8] = []
    Namespace.appendDefaultRoom(of: [UInt8]().span, to: &room)
    return room
  }()
}

/// A socket whose client does not know yet that it is connected.
final class SocketOpening {
  /// The rooms still to be joined, in this order, and from where: of a client that comes back several.
  var rooms: ArraySlice<RecoveryPlace> = []
  /// Rooms that it is to leave before that: it was in them when it could not be recovered.
  var leaving: [[UInt8]] = []
  /// Whether its session has begun to join them.
  var hasBegun = false
  /// What the client came back with; nil: it begins anew.
  var recovery: Recovery?
  /// Whether the client has an offset that is not of this connection.
  var hasStaleOffset = false
  /// What it is to be given once it is connected, in the form of polls.
  var held: [[UInt8]] = []
  var heldBytes = 0
  /// Whether the hub waits for room.
  var awaitsRoom = false
  /// Why it cannot be connected.
  var refusal: (code: [UInt8], message: [UInt8])?
}

/// The sockets of a node, each at its place, linked by connection. Confined to the loop of its table.
final class NamespaceSocketStore {
  private var slab = Slab<NamespaceSocket>(capacity: 64)
  private let engines: EngineStore
  /// The namespace that was named last: most sockets of a node are in few, and share the name.
  private var lastNamespace: [UInt8] = []

  init(_ engines: EngineStore) { self.engines = engines }

  /// The socket at an occupied place.
  subscript(index: UInt32) -> NamespaceSocket {
    @inline(__always) unsafeAddress { UnsafePointer(address(index)) }
    @inline(__always) unsafeMutableAddress { address(index) }
  }

  @inline(__always)
  private func address(_ index: UInt32) -> UnsafeMutablePointer<NamespaceSocket> {
    // Safe because the slab lends the address of the element itself, which stays there until a socket is inserted, and no
    // borrow is held across that.
    withUnsafeMutablePointer(to: &slab[index]) { $0 }
  }

  @inline(__always)
  func isOccupied(_ index: UInt32) -> Bool { slab.isOccupied(index) }
  func contains(_ id: SlabID) -> Bool { slab.contains(id) }
  func id(at index: UInt32) -> SlabID { slab.id(at: index) }
  func shrink() { slab.shrink() }

  /// Adds a socket to a connection.
  func insert(_ engine: SlabID, _ namespace: Span<UInt8>) -> UInt32 {
    let last = lastNamespace
    if !Namespace.isMain(namespace), !last.span.isEqual(to: namespace) {
      lastNamespace = [UInt8](copying: namespace)
    }
    let socket = NamespaceSocket(engine: engine, namespace: Namespace.isMain(namespace) ? [] : lastNamespace)
    let index = slab.insert(socket).index
    self[index].next = engines[engine.index].firstSocket ?? .max
    engines[engine.index].firstSocket = index
    engines[engine.index].socketCount += 1
    return index
  }

  /// Takes a socket out of its connection's list; it stays in its place.
  func unlink(_ index: UInt32) {
    let engine = self[index].engine
    guard engines.contains(engine) else { return }
    let next = self[index].next
    if engines[engine.index].firstSocket == index {
      engines[engine.index].firstSocket = next == .max ? nil : next
    } else {
      var before = engines[engine.index].firstSocket
      while let place = before, self[place].next != index { before = self[place].next == .max ? nil : self[place].next }
      guard let before else { return }
      self[before].next = next
    }
    self[index].next = .max
    engines[engine.index].socketCount -= 1
  }

  func remove(_ index: UInt32) { slab.remove(index) }

  /// The sockets of a connection.
  func all(of engine: UInt32) -> [UInt32] {
    var all: [UInt32] = []
    var next = engines[engine].firstSocket ?? .max
    while next != .max {
      all.append(next)
      next = self[next].next
    }
    return all
  }

  /// The socket of a connection in a namespace, or nil.
  func find(_ namespace: Span<UInt8>, of engine: UInt32) -> UInt32? {
    var next = engines[engine].firstSocket ?? .max
    while next != .max {
      if self[next].isIn(namespace) { return next }
      next = self[next].next
    }
    return nil
  }
}

extension NamespaceSocket {
  /// Whether a namespace is its own.
  func isIn(_ name: Span<UInt8>) -> Bool {
    if namespace.isEmpty { return Namespace.isMain(name) }
    let own = namespace
    return own.span.isEqual(to: name)
  }
}

extension Span<UInt8> {
  func isEqual(to other: Span<UInt8>) -> Bool {
    guard count == other.count else { return false }
    for index in indices where self[index] != other[index] { return false }
    return true
  }
}
