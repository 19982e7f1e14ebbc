import ClientCore
import HTTPCore
import JSONCore
import LoopCore

/// Shows what a cluster looks like: a table for people, or the server's JSON.
struct Inspection {
  private let client: AdminClient
  private let settings: ClientSettings

  init(_ client: AdminClient, _ settings: ClientSettings) {
    self.client = client
    self.settings = settings
  }

  /// Follows the cursor to the end; as JSON every page is a line of its own.
  func presence(room: String) throws(CommandFailure) {
    var members: [JSONValue] = []
    var cursor: String?
    var progress = Progress()
    repeat {
      var path = "presence/\(Self.segment(room))?limit=1000"
      if let cursor { path += "&cursor=\(Self.segment(cursor))" }
      let body = try client.get(path)
      let page = try AdminAnswer.list("members", in: body)
      if settings.json { Output.json(body) }
      members += page.entries
      let next = page.answer["cursor"]?.asString
      // A server that repeats itself must not hold us for ever.
      cursor = next == cursor ? nil : next
      if cursor != nil { progress.note("\(members.count) of \(page.answer["users"]?.asInt ?? 0) users") }
    } while cursor != nil
    guard !settings.json else { return }
    Output.text(Report.presence(of: room, members, now: Clock.wallMilliseconds()))
  }

  func nodes() throws(CommandFailure) {
    try show(client.get("nodes"), Report.nodes)
  }

  func user(_ name: String) throws(CommandFailure) {
    try show(client.get("users/\(Self.segment(name))"), Report.user)
  }

  /// Follows the cursor to the end, or to `--limit`; as JSON every page is a line of its own.
  func rooms() throws(CommandFailure) {
    var left = settings.limit ?? .max
    var rooms: [JSONValue] = []
    var cursor: String?
    var isComplete = true
    repeat {
      var path = "rooms?limit=\(min(left, 1000))"
      if let prefix = settings.prefix { path += "&prefix=\(Self.segment(prefix))" }
      if let cursor { path += "&cursor=\(Self.segment(cursor))" }
      let body = try client.get(path)
      let page = try AdminAnswer.list("rooms", in: body)
      if settings.json { Output.json(body) }
      rooms += page.entries.prefix(left)
      left -= min(left, page.entries.count)
      if page.answer["incomplete"]?.asBool == true { isComplete = false }
      let next = page.answer["cursor"]?.asString
      // A server that repeats itself must not hold us for ever.
      cursor = next == cursor ? nil : next
    } while cursor != nil && left > 0
    if !settings.json { Output.text(Report.rooms(rooms, isComplete: isComplete)) }
  }

  private func show(_ body: [UInt8], _ report: ([UInt8], UInt64) throws(CommandFailure) -> String)
    throws(CommandFailure)
  {
    if settings.json {
      Output.json(body)
    } else {
      Output.text(try report(body, Clock.wallMilliseconds()))
    }
  }

  /// Percent-encodes a name as one segment of a path or one value of a query.
  private static func segment(_ name: String) -> String {
    String(decoding: PercentCoding.encode(Array(name.utf8).span), as: UTF8.self)
  }
}
