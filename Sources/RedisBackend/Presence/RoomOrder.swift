import Realtime

/// The entries of a room's sorted set of members: a user, a zero byte, a connection. All have the score 0, so that Redis keeps
/// them in the order of their bytes: by user, then by connection. The connection is empty for a user in grace.
enum RoomOrder {
  /// Where to go on after a cursor, as ZRANGEBYLEX takes it.
  static func lowerBound(after cursor: MemberCursor?) -> [UInt8] {
    guard let cursor else { return [UInt8(ascii: "-")] }
    guard let connection = cursor.connection else {
      // Nothing of the user is beyond a zero byte.
      return [UInt8(ascii: "[")] + cursor.user + [1]
    }
    return [UInt8(ascii: "(")] + cursor.user + [0] + connection
  }

  /// The user and the connection of an entry; nil for what is none.
  static func parts(of entry: [UInt8]) -> (user: [UInt8], connection: [UInt8])? {
    entry.lastIndex(of: 0).map { (Array(entry[..<$0]), Array(entry[($0 + 1)...])) }
  }
}
