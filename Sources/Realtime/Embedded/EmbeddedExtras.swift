/// What few rooms of the embedded broker have.
final class EmbeddedExtras {
  /// A user who has left and may come back.
  struct Grace {
    /// Its last connection, without its name.
    let member: Member
    /// Milliseconds of the broker's clock.
    let deadline: UInt64
  }

  var states: [[UInt8]: [UInt8]] = [:]
  var graces: [[UInt8]: Grace] = [:]
  var order = MemberOrder()
}

/// A room's connections in the order of their users, then of their names: sorted with the first look, then kept so by
/// merging what has changed since the last one. Pure.
struct MemberOrder {
  private var connections: [EmbeddedConnection]?
  /// Those that came or went since.
  private var changed: [EmbeddedConnection] = []

  /// Notes that a connection came or went.
  mutating func note(_ connection: EmbeddedConnection) {
    guard let count = connections?.count else { return }
    changed.append(connection)
    // Sorting anew costs no more than that.
    if changed.count > count + 64 { forget() }
  }

  /// Gives the memory back, until the next look.
  mutating func forget() { (connections, changed) = (nil, []) }

  /// The connections in their order.
  ///
  /// - Parameters:
  ///   - isMember: whether a connection that came or went is there now.
  ///   - all: all connections, in any order.
  mutating func sorted(
    whereMember isMember: (EmbeddedConnection) -> Bool, _ all: () -> [EmbeddedConnection]
  ) -> [EmbeddedConnection] {
    guard let before = connections else {
      let made = all().sorted(by: MemberOrder.precedes)
      connections = made
      return made
    }
    guard !changed.isEmpty else { return before }
    var touched: [ObjectIdentifier: EmbeddedConnection] = [:]
    for connection in changed { touched[ObjectIdentifier(connection)] = connection }
    let come = touched.values.filter(isMember).sorted(by: MemberOrder.precedes)
    var merged: [EmbeddedConnection] = []
    merged.reserveCapacity(before.count + come.count)
    var next = 0
    for connection in before where touched[ObjectIdentifier(connection)] == nil {
      while next < come.count, MemberOrder.precedes(come[next], connection) {
        merged.append(come[next])
        next += 1
      }
      merged.append(connection)
    }
    merged += come[next...]
    (connections, changed) = (merged, [])
    return merged
  }

  /// The first connection after a cursor.
  static func place(after cursor: MemberCursor?, in connections: [EmbeddedConnection]) -> Int {
    guard let cursor else { return 0 }
    var (low, high) = (0, connections.count)
    while low < high {
      let middle = (low + high) / 2
      if cursor.isBefore(connections[middle].user, connections[middle].name) { high = middle } else { low = middle + 1 }
    }
    return low
  }

  private static func precedes(_ a: EmbeddedConnection, _ b: EmbeddedConnection) -> Bool {
    a.user == b.user ? a.name.lexicographicallyPrecedes(b.name) : a.user.lexicographicallyPrecedes(b.user)
  }
}
