/// Members whose joins were not answered yet, and whether they have left meanwhile.
///
/// Redis executes what one connection sends in order, with one exception: a script that it has forgotten is loaded and run
/// again, after what was sent meanwhile. A join that comes so late must not undo the leave that overtook it. Pure.
struct PendingJoins {
  private struct Join {
    var underWay = 0
    var hasLeft = false
  }

  private var joins: [[UInt8]: Join] = [:]

  var isEmpty: Bool { joins.isEmpty }

  /// Notes that a join was sent: the member is to be in, whatever was before.
  mutating func enter(room: [UInt8], _ member: [UInt8]) {
    let key = PendingJoins.key(room, member)
    joins[key, default: Join()].underWay += 1
    joins[key]?.hasLeft = false
  }

  /// Notes that a leave was sent.
  mutating func leave(room: [UInt8], _ member: [UInt8]) {
    guard !joins.isEmpty else { return }
    joins[PendingJoins.key(room, member)]?.hasLeft = true
  }

  /// Notes an answer to a join. Returns whether the member has left meanwhile, and is to be taken out again.
  mutating func answered(room: [UInt8], _ member: [UInt8]) -> Bool {
    let key = PendingJoins.key(room, member)
    guard var join = joins[key] else { return false }
    join.underWay -= 1
    joins[key] = join.underWay == 0 ? nil : join
    return join.hasLeft
  }

  /// A room's name holds no byte below 0x20.
  private static func key(_ room: [UInt8], _ member: [UInt8]) -> [UInt8] { room + [0] + member }
}
