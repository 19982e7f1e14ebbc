import Realtime
import TimeCore

/// The connections of a table, each at its place. Confined to the table's loop.
final class ConnectionStore {
  private var slab = Slab<Connection>(capacity: 1024)

  /// The connection at an occupied place. By its address, because a coroutine would copy the record or allocate its frame.
  subscript(index: UInt32) -> Connection {
    @inline(__always) unsafeAddress { UnsafePointer(address(index)) }
    @inline(__always) unsafeMutableAddress { address(index) }
  }

  @inline(__always)
  private func address(_ index: UInt32) -> UnsafeMutablePointer<Connection> {
    // Safe because the slab lends the address of the element itself, which stays there until a connection is inserted, and
    // no borrow is held across that.
    withUnsafeMutablePointer(to: &slab[index]) { $0 }
  }

  /// Connections in the table.
  var count: Int { slab.count }
  /// All indices are below it.
  var end: UInt32 { slab.end }

  @inline(__always)
  func contains(_ id: SlabID) -> Bool { slab.contains(id) }
  @inline(__always)
  func isOccupied(_ index: UInt32) -> Bool { slab.isOccupied(index) }
  @inline(__always)
  func id(at index: UInt32) -> SlabID { slab.id(at: index) }

  /// Adds a connection and returns its name.
  func insert(_ connection: consuming Connection) -> SlabID { slab.insert(connection) }

  /// Removes the connection at an occupied place.
  func remove(_ index: UInt32) { slab.remove(index) }

  /// Gives memory back after a crowd has left.
  func shrink() { slab.shrink() }
}

/// What the parts of a connection table ask of the part that has the sockets and the loop. A test may take its place.
protocol ConnectionHost: AnyObject {
  /// Closes a connection at once and forgets it. Not to be called from inside the hub.
  func drop(_ index: UInt32)
  /// Called when what a connection waits for has changed: input, or room for output.
  func updateInterest(_ index: UInt32)
  /// Called when a connection that was not read is read again.
  func resumeInput(_ index: UInt32)
  /// Asks for another tick right after this one.
  func tickAgain()
  /// Runs an action once, after `interval`.
  func after(_ interval: Interval, _ action: @escaping () -> Void)
}

/// Those whose connections carry several sessions each: what the parts of a table ask of them.
protocol SessionCarriers: AnyObject {
  /// Calls `body` with each session that the carrier of a connection has.
  func forEachSession(of carrier: SlabID, _ body: (SlabID) -> Void)
  /// Takes a message that came on a WebSocket which carries sessions.
  func receive(text: Span<UInt8>, on connection: SlabID)
  func receive(binary: Span<UInt8>, on connection: SlabID)
  /// Notes that a connection takes nothing more from its carrier: it closes, or is gone.
  func connectionEnded(_ connection: UInt32, of carrier: SlabID)
  /// Notes that the connection on which a poll of a carrier waits is gone.
  func pollEnded(on connection: SlabID, of carrier: SlabID)
}
