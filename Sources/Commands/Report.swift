import ClientCore
import JSONCore

/// Turns answers of the admin endpoint into tables. Pure: `now` is in milliseconds since 1970.
enum Report {
  /// Shows each connection of a room on a line. A user without one, who has left and whose `leave-debounce` is not over,
  /// has a line as well.
  static func presence(of room: String, _ members: [JSONValue], now: UInt64) -> String {
    // What members may have beside their connections is shown where any of them has it.
    let known: [(key: StaticString, title: String)] = [("info", "INFO"), ("state", "STATE")]
    let extras = known.filter { extra in members.contains { $0[extra.key] != nil } }
    var table = TextTable([.text("USER")] + connectionColumns + extras.map { .text($0.title) })
    var (connectionCount, leavingCount) = (0, 0)
    for member in members {
      let connections = member["connections"]?.asArray ?? []
      let rest = extras.map { member[$0.key].map(Self.json) ?? "" }
      connectionCount += connections.count
      for connection in connections { table.append([text(member["user"])] + cells(of: connection, now) + rest) }
      guard connections.isEmpty else { continue }
      leavingCount += 1
      table.append([text(member["user"]), "leaving", "-", "-", "-", "-"] + rest)
    }
    let leaving = leavingCount == 0 ? "" : " (\(leavingCount) leaving)"
    let users = PlainText.count(members.count, "user") + leaving
    return table.text + "\(TerminalText.line(room)): \(users), \(PlainText.count(connectionCount, "connection"))\n"
  }

  static func rooms(_ rooms: [JSONValue], isComplete: Bool = true) -> String {
    var table = TextTable([.text("ROOM"), .number("USERS")])
    for room in rooms { table.append([text(room["room"]), number(room["members"])]) }
    let remark = isComplete ? "" : "; those of a Redis master that is out of reach are missing"
    return table.text + PlainText.count(rooms.count, "room") + remark + "\n"
  }

  static func nodes(_ body: [UInt8], now: UInt64) throws(CommandFailure) -> String {
    let (_, nodes) = try AdminAnswer.list("nodes", in: body)
    var table = TextTable([
      .text("NODE"), .text("VERSION"), .number("UPTIME"), .number("CONNECTIONS"), .number("ROOMS"), .number("IN"),
      .number("OUT"), .number("MEMORY"),
    ])
    for node in nodes {
      table.append([
        text(node["id"]), text(node["version"]),
        unsigned(node["uptime"]).map(PlainText.duration) ?? "-",
        number(node["connections"]), number(node["rooms"]), number(node["messagesIn"]), number(node["messagesOut"]),
        unsigned(node["memory"]).map(PlainText.size) ?? "-",
      ])
    }
    let connections = nodes.reduce(0) { $0 + ($1["connections"]?.asInt ?? 0) }
    return table.text + "\(PlainText.count(nodes.count, "node")), \(PlainText.count(connections, "connection"))\n"
  }

  static func user(_ body: [UInt8], now: UInt64) throws(CommandFailure) -> String {
    let (answer, connections) = try AdminAnswer.list("connections", in: body)
    var table = TextTable(connectionColumns)
    for connection in connections { table.append(cells(of: connection, now)) }
    let name = TerminalText.line(text(answer["user"]))
    return table.text + "\(name): \(PlainText.count(connections.count, "connection"))\n"
  }

  private static var connectionColumns: [TextTable.Column] {
    [.text("CONNECTION"), .text("NODE"), .text("TRANSPORT"), .text("ADDRESS"), .text("SINCE")]
  }

  private static func cells(of connection: JSONValue, _ now: UInt64) -> [String] {
    let since = unsigned(connection["since"]).map { PlainText.age(since: $0, now: now) } ?? "-"
    return [
      text(connection["id"]), text(connection["node"]), text(connection["transport"]), text(connection["address"]),
      since,
    ]
  }

  private static func text(_ value: JSONValue?) -> String { value?.asString ?? "-" }

  private static func number(_ value: JSONValue?) -> String { value?.asInt.map(String.init) ?? "-" }

  private static func unsigned(_ value: JSONValue?) -> UInt64? { value?.asInt.flatMap(UInt64.init(exactly:)) }

  /// Writes a value on one line as JSON again.
  private static func json(_ value: JSONValue) -> String {
    var writer = JSONWriter()
    writer.value(value)
    return String(decoding: writer.finish(), as: UTF8.self)
  }
}
