import JSONCore

/// A user in a room: all its connections there as one line.
public struct PresentUser {
  public let user: [UInt8]
  public private(set) var connections: Int
  /// Milliseconds since 1970: its earliest connection that is still there.
  public private(set) var since: UInt64
  public private(set) var info: [UInt8]?

  /// Groups members by user, the one who has been there longest first.
  public static func group(_ members: [Member]) -> [PresentUser] {
    var users: [[UInt8]: PresentUser] = [:]
    for member in members {
      if users[member.user]?.add(member) == nil {
        users[member.user] = PresentUser(user: member.user, connections: 1, since: member.since, info: member.info)
      }
    }
    return users.values.sorted { ($0.since, $0.user.count) < ($1.since, $1.user.count) }
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

/// Writes a page of history as its readers receive it.
public enum HistoryText {
  /// Appends `epoch`, `offset` and `messages` to an object that is open. A binary message has its payload as `binary`,
  /// in base64: JSON can carry it no other way.
  public static func write(_ page: HistoryPage, of room: [UInt8], to writer: inout JSONWriter) {
    var epoch: [UInt8] = []
    page.position.epoch.append(to: &epoch)
    writer.key("epoch")
    writer.string(epoch)
    writer.key("offset")
    writer.unsigned(page.position.offset)
    writer.key("messages")
    writer.beginArray()
    let room = Room(name: room)
    for entry in page.entries {
      guard let envelope = Envelope(entry.envelope.span) else { continue }
      var text: [UInt8] = []
      Push.text(envelope, in: entry.envelope.span, offset: entry.offset, room: room, to: &text)
      writer.raw(text)
    }
    writer.endArray()
  }
}
