import ClientProtocol
import JSONCore

/// A user in a room: all its connections there as one line.
public struct PresentUser {
  public let user: [UInt8]
  /// 0 while the user's grace runs.
  public private(set) var connections: Int
  /// Milliseconds since 1970: its earliest connection that is still there.
  public private(set) var since: UInt64
  public private(set) var info: [UInt8]?
  /// Its state, one JSON value, or nil.
  public internal(set) var state: [UInt8]?

  /// Groups members that are ascending by user.
  public static func group(_ members: [Member], states: [[UInt8]: [UInt8]] = [:]) -> [PresentUser] {
    var users: [PresentUser] = []
    for member in members {
      if users.last?.user == member.user {
        users[users.count - 1].add(member)
      } else {
        users.append(PresentUser(member, state: states[member.user]))
      }
    }
    return users
  }

  private init(_ member: Member, state: [UInt8]?) {
    user = member.user
    connections = member.name.isEmpty ? 0 : 1
    since = member.since
    info = member.info
    self.state = state
  }

  /// A user of whom nothing is known but that it has just come.
  init(user: [UInt8], since: UInt64) {
    self.user = user
    connections = 1
    self.since = since
  }

  private mutating func add(_ member: Member) {
    if !member.name.isEmpty { connections += 1 }
    since = min(since, member.since)
    info = info ?? member.info
  }

  func write(to writer: inout JSONWriter) {
    writer.beginObject()
    writer.key("user")
    writer.string(user)
    writer.key("connections")
    writer.integer(connections)
    writer.key("since")
    writer.unsigned(since)
    if let info {
      writer.key("info")
      writer.raw(info)
    }
    if let state {
      writer.key("state")
      writer.raw(state)
    }
    writer.endObject()
  }
}

/// A part of who is in a room, as a client receives it.
struct PresencePage: EventBody {
  /// Ascending by name.
  private(set) var users: [PresentUser]
  /// Users in the whole room.
  private(set) var count: Int
  /// Whether there are users behind the last one.
  private(set) var hasMore: Bool

  init(_ list: MemberList) {
    users = list.users
    count = list.userCount
    hasMore = list.hasMore
  }

  /// Makes the page say what the notices so far have said, so that those which follow fit: the broker may have been read
  /// before the last of them, or after one that is still on its way.
  ///
  /// - Parameters:
  ///   - after: the name after which the page begins, or nil.
  ///   - limit: users that the page holds at most.
  ///   - now: milliseconds since 1970, for users of whom the broker did not tell.
  mutating func agree(with presence: RoomPresence, after: [UInt8]?, limit: Int, now: UInt64) {
    guard let announced = presence.announced else { return setStates(presence) }
    let end = hasMore ? users.last?.user : nil
    let listed = AnnouncedUsers(users.map(\.user))
    let dropped = users.count
    users.removeAll { !announced.contains($0.user.span) }
    // A client asks on behind the last user: where all of the page have left, it gets those who follow.
    let last = users.isEmpty ? nil : end
    // Of a page that is the whole room the numbers tell whether somebody is missing.
    if hasMore || after != nil || users.count < dropped || count != announced.count {
      for user in announced.users(after: after, before: last) where !listed.contains(user.span) {
        users.append(PresentUser(user: user, since: now))
      }
      users.sort { $0.user.lexicographicallyPrecedes($1.user) }
      hasMore = last != nil || users.count > limit
      if users.count > limit { users.removeLast(users.count - limit) }
    }
    count = announced.count
    setStates(presence)
  }

  private mutating func setStates(_ presence: RoomPresence) {
    for index in users.indices {
      users[index].state = presence.state(of: users[index].user, inPage: users[index].state)
    }
  }

  /// Writes `members`, `count` and, when there are more users, `more`.
  func write(to writer: inout JSONWriter) {
    writer.key("members")
    writer.beginArray()
    for user in users { user.write(to: &writer) }
    writer.endArray()
    writer.key("count")
    writer.integer(count)
    guard hasMore else { return }
    writer.key("more")
    writer.bool(true)
  }
}
