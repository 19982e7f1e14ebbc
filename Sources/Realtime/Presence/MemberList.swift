/// A part of a room's members as one read brought them, in as many pages as it took: shared by all who asked for the same.
public final class MemberList {
  /// All connections of at most as many users as were asked for, ascending by user, then by name.
  public private(set) var members: [Member] = []
  /// The states that users set.
  public private(set) var states: [[UInt8]: [UInt8]] = [:]
  /// Users in the whole room.
  public private(set) var userCount = 0
  /// Connections in the whole room; those of nodes that have just ended count until they are taken out, unless this is the
  /// whole room.
  public private(set) var connectionCount = 0
  /// Whether there are users behind the last one.
  public private(set) var hasMore = false
  /// The users, ascending by name.
  private(set) lazy var users = PresentUser.group(members, states: states)

  private let usersMax: Int
  /// Whether it begins with the room's first user.
  private let isFromStart: Bool
  private var usersRead = 0
  /// Members that were read, and were left out or not.
  private var membersRead = 0

  init(usersMax: Int, isFromStart: Bool) {
    self.usersMax = usersMax
    self.isFromStart = isFromStart
  }

  /// Members that the next page should have: one more than users are missing, which shows whether there are more.
  var pageSize: Int { min(Limits.memberPageMax, max(Limits.memberPageMin, usersMax - usersRead + 1)) }

  /// Adds the next page. Returns where to go on, or nil when there is nothing more to read.
  func add(_ page: MemberPage) -> MemberCursor? {
    (userCount, connectionCount) = (page.userCount, page.connectionCount)
    membersRead += page.members.count
    for member in page.members {
      if member.user != members.last?.user {
        guard usersRead < usersMax else {
          hasMore = true
          return nil
        }
        usersRead += 1
        states[member.user] = page.states[member.user]
      }
      members.append(member)
    }
    if page.next == nil, isFromStart {
      userCount = usersRead
      connectionCount = members.count { !$0.name.isEmpty }
    }
    return page.next
  }

  /// What reading and writing them costs the broker and the node, in bytes of an answer that cost as much.
  var costBytes: Int { membersRead * Limits.memberCostBytes }
}
