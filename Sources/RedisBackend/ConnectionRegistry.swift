/// Counts the connections a node holds of each user, so that it hears a user's channel while there is one.
struct ConnectionRegistry {
  private var names: Set<[UInt8]> = []
  private var counts: [[UInt8]: Int] = [:]

  /// Notes a connection; a repetition changes nothing. Returns whether it is its user's first here.
  mutating func add(_ name: [UInt8], user: [UInt8]) -> Bool {
    guard names.insert(name).inserted else { return false }
    counts[user, default: 0] += 1
    return counts[user] == 1
  }

  /// Forgets a connection. Returns whether it was its user's last here.
  mutating func remove(_ name: [UInt8], user: [UInt8]) -> Bool {
    guard names.remove(name) != nil, let count = counts[user] else { return false }
    counts[user] = count > 1 ? count - 1 : nil
    return count == 1
  }
}
