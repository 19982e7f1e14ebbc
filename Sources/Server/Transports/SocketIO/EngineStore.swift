import Realtime

/// The Engine.IO connections of a node, each at its place. Confined to the loop of its table.
final class EngineStore {
  private var slab = Slab<EngineConnection>(capacity: 64, firstGeneration: .random(in: 0..<1 << 31))

  /// The connection at an occupied place.
  subscript(index: UInt32) -> EngineConnection {
    @inline(__always) unsafeAddress { UnsafePointer(address(index)) }
    @inline(__always) unsafeMutableAddress { address(index) }
  }

  @inline(__always)
  private func address(_ index: UInt32) -> UnsafeMutablePointer<EngineConnection> {
    // Safe because the slab lends the address of the element itself, which stays there until a connection is inserted, and
    // no borrow is held across that.
    withUnsafeMutablePointer(to: &slab[index]) { $0 }
  }

  var count: Int { slab.count }
  /// All indices are below it.
  var end: UInt32 { slab.end }

  func contains(_ id: SlabID) -> Bool { slab.contains(id) }
  func isOccupied(_ index: UInt32) -> Bool { slab.isOccupied(index) }
  func id(at index: UInt32) -> SlabID { slab.id(at: index) }
  func insert(_ connection: consuming EngineConnection) -> SlabID { slab.insert(connection) }
  func remove(_ index: UInt32) { slab.remove(index) }
  func shrink() { slab.shrink() }

  /// The connection that a session id names; nil: there is none, or not with that key.
  func find(_ sid: [UInt8]) -> SlabID? {
    guard let id = EngineID(sid), slab.contains(id.connection), slab[id.connection.index].key == id.key else {
      return nil
    }
    return id.connection
  }
}
