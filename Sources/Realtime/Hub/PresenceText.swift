import JSONCore

/// A user in a room: all its connections there as one line.
public struct PresentUser {
  public let user: [UInt8]
  public private(set) var connections: Int
  /// Milliseconds since 1970: its earliest connection that is still there.
  public private(set) var since: UInt64
  public private(set) var info: [UInt8]?

  /// Groups members by user, ascending by name.
  public static func group(_ members: [Member]) -> [PresentUser] {
    var users: [[UInt8]: PresentUser] = [:]
    for member in members {
      if users[member.user]?.add(member) == nil {
        users[member.user] = PresentUser(user: member.user, connections: 1, since: member.since, info: member.info)
      }
    }
    return users.values.sorted { $0.user.lexicographicallyPrecedes($1.user) }
  }

  private mutating func add(_ member: Member) {
    connections += 1
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
    writer.endObject()
  }
}

/// A part of who is in a room.
struct PresencePage {
  /// Ascending by name.
  let users: [PresentUser]
  /// Users in the whole room.
  let count: Int
  /// Whether there are users behind the last one.
  let hasMore: Bool

  /// Takes at most `limit` users whose names come after a name; nil: from the first on. The time it takes grows with the
  /// page, not with the room.
  ///
  /// - Parameter all: the room's users, ascending by name.
  init(of all: [PresentUser], after: [UInt8]?, limit: Int) {
    var first = 0
    if let after {
      var end = all.count
      while first < end {
        let middle = (first + end) / 2
        if after.lexicographicallyPrecedes(all[middle].user) { end = middle } else { first = middle + 1 }
      }
    }
    users = Array(all[first...].prefix(limit))
    count = all.count
    hasMore = all.count - first > users.count
  }

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

/// Writes a page of history as its readers receive it.
public enum HistoryText {
  /// Appends `epoch`, `offset` and `messages` to an object that is open, and `more` when the room has later messages than
  /// these: those that are left out beyond `bytesMax` bytes, for example. One message fits always. A binary message has its payload as `binary`,
  /// in base64: JSON can carry it no other way.
  public static func write(
    _ page: HistoryPage, of room: [UInt8], bytesMax: Int = Limits.historyAnswerBytesMax, to writer: inout JSONWriter
  ) {
    var epoch: [UInt8] = []
    page.position.epoch.append(to: &epoch)
    writer.key("epoch")
    writer.string(epoch)
    writer.key("offset")
    writer.unsigned(page.position.offset)
    writer.key("messages")
    writer.beginArray()
    let room = Room(name: room)
    var hasMore = page.hasMore
    var bytes = 0
    for entry in page.entries {
      guard let envelope = Envelope(entry.envelope.span) else { continue }
      var text: [UInt8] = []
      Push.text(envelope, in: entry.envelope.span, offset: entry.offset, room: room, to: &text)
      if bytes > 0, bytes + text.count > bytesMax {
        hasMore = true
        break
      }
      bytes += text.count
      writer.raw(text)
    }
    writer.endArray()
    guard hasMore else { return }
    writer.key("more")
    writer.bool(true)
  }
}
