import ClientCore
import ClientProtocol
import JSONCore

/// Sends messages into a cluster: to a room, to everyone, to a user.
struct Sending {
  private let client: AdminClient
  private let settings: ClientSettings

  init(_ client: AdminClient, _ settings: ClientSettings) {
    self.client = client
    self.settings = settings
  }

  func publish(room: String, json: String) throws(CommandFailure) {
    let answer = try post("publish", name: "room", room, json)
    try AdminAnswer.show(answer, settings) { value in
      "\(room): offset \(value["offset"]?.asInt ?? 0), epoch \(value["epoch"]?.asString ?? "-")"
    }
  }

  func broadcast(json: String) throws(CommandFailure) {
    let answer = try post("broadcast", name: nil, "", json)
    try AdminAnswer.show(answer, settings) { _ in "sent to every connection" }
  }

  func direct(user: String, json: String) throws(CommandFailure) {
    let answer = try post("direct", name: "to", user, json)
    try AdminAnswer.show(answer, settings) { value in
      "\(TerminalText.line(user)): delivered to \(PlainText.count(value["delivered"]?.asInt ?? 0, "connection"))"
    }
  }

  private func post(
    _ path: String, name: StaticString?, _ value: String, _ json: String
  ) throws(CommandFailure) -> [UInt8] {
    let data = try Self.object(json)
    var writer = JSONWriter(capacity: data.count + 64)
    writer.beginObject()
    if let name {
      writer.key(name)
      writer.string(value)
    }
    if let user = settings.user {
      writer.key("user")
      writer.string(user)
    }
    writer.key("data")
    writer.raw(data)
    writer.endObject()
    return try client.post(path, writer.finish())
  }

  /// Returns the bytes of a text that is one JSON object, whole and valid (RFC 8259 section 4), without a member whose name is
  /// the protocol's.
  static func object(_ text: String) throws(CommandFailure) -> [UInt8] {
    let bytes = Array(text.utf8)
    do throws(JSONError) {
      var scanner = JSONScanner(bytes.span)
      while try scanner.nextMember() != nil {}
    } catch {
      throw CommandFailure(
        ExitStatus.usage, "JSON must be one object, such as '{\"text\":\"hello\"}' in quotes for the shell: \(error)")
    }
    // A node refuses these names, too, and advises what only a request can do.
    do throws(ProtocolError) {
      _ = try MessageData(bytes.span, asUser: "name it by --user")
    } catch {
      throw CommandFailure(ExitStatus.usage, error.message)
    }
    return bytes
  }
}
