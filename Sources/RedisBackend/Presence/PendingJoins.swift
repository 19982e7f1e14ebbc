/// Members whose joins were not answered yet, and whether they have left meanwhile.
///
/// Redis executes what one connection sends in order, with one exception: a script that it has forgotten is loaded and run
/// again, after what was sent meanwhile. A join that comes so late must not undo the leave that overtook it. Pure.
struct PendingJoins {
  private struct Entering {
    var underWay = 0
    var hasLeft = false
  }

  private var enterings: [[UInt8]: Entering] = [:]

  var isEmpty: Bool { enterings.isEmpty }

  /// Notes that a join was sent: the member is to be in, whatever was before.
  mutating func enter(room: [UInt8], _ member: [UInt8]) {
    let key = PendingJoins.key(room, member)
    enterings[key, default: Entering()].underWay += 1
    enterings[key]?.hasLeft = false
  }

  /// Notes that a leave was sent.
  mutating func leave(room: [UInt8], _ member: [UInt8]) {
    guard !enterings.isEmpty else { return }
    enterings[PendingJoins.key(room, member)]?.hasLeft = true
  }

  /// Notes an answer to a join. Returns whether the member has left meanwhile, and is to be taken out again.
  mutating func answered(room: [UInt8], _ member: [UInt8]) -> Bool {
    let key = PendingJoins.key(room, member)
    guard var entering = enterings[key] else { return false }
    entering.underWay -= 1
    enterings[key] = entering.underWay == 0 ? nil : entering
    return entering.hasLeft
  }

  /// A room's name holds no byte below 0x20.
  private static func key(_ room: [UInt8], _ member: [UInt8]) -> [UInt8] { room + [0] + member }
}
