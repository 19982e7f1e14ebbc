import JSONCore

/// What a client knows of a room's users: it starts from `joined` and `presence`, and applies every notice, as the
/// documentation describes it. It repeats what the server refuses.
struct RoomView {
  enum Stay { case out, joining, joined, leaving }

  private(set) var stay = Stay.out
  /// Users by name, each with its state or an empty text; nil before the first page of `presence`.
  private(set) var users: [String: String]?
  /// The number of users, from `joined` and the notices.
  private(set) var count = 0
  /// What this client says about itself in this stay.
  private(set) var said = ""
  private(set) var complaints: [String] = []
  /// Pages of `presence` that were requested and not answered.
  private var pagesDue = 0
  private var isStateDue = false
  /// Counts stays and states. Ids carry it, so that late answers are recognised.
  private var number = 0
  /// Operations to be sent.
  private var outgoing: [String] = []
  private let room: String
  private let pageLimit: Int
  /// What it says as soon as it has joined, or nil.
  private let greeting: String?

  init(_ room: String, pageLimit: Int, greeting: String?) {
    self.room = room
    self.pageLimit = pageLimit
    self.greeting = greeting
  }

  /// Whether everything that was asked has been answered.
  var isSettled: Bool {
    stay == .out || (stay == .joined && users != nil && pagesDue == 0 && !isStateDue && outgoing.isEmpty)
  }

  /// Joins, and requests `presence` without waiting for the answer.
  mutating func join() {
    guard stay == .out else { return }
    number += 1
    (stay, users, pagesDue, said, isStateDue) = (.joining, nil, 0, "", false)
    send("join", "j\(number)")
    ask(after: nil)
  }

  mutating func leave() {
    guard stay == .joined else { return }
    stay = .leaving
    send("leave", "l\(number)")
  }

  mutating func say(_ text: String) {
    guard stay == .joined, !isStateDue else { return }
    (said, isStateDue) = (text, true)
    send("state", "s\(number)", #","state":"\#(text)""#)
  }

  /// Requests `presence` once more.
  mutating func refresh() { if stay == .joined { ask(after: nil) } }

  mutating func takeOutgoing() -> [String] {
    defer { outgoing = [] }
    return outgoing
  }

  private mutating func send(_ type: String, _ id: String, _ rest: String = "") {
    outgoing.append(#"{"type":"\#(type)","room":"\#(room)","id":"\#(id)@\#(room)"\#(rest)}"#)
  }

  private mutating func ask(after user: String?) {
    pagesDue += 1
    let after = user.map { #","after":"\#($0)""# } ?? ""
    send("presence", (user == nil ? "f" : "p") + "\(number)", #","limit":\#(pageLimit)\#(after)"#)
  }

  // MARK: Receiving

  mutating func apply(_ type: String, _ json: JSONValue) {
    // What carries an id answers an operation, perhaps one of an earlier stay.
    let id = json["id"]?.asString
    if let id, id.dropFirst().prefix(while: { $0 != "@" }) != "\(number)" { return }
    switch type {
    case "joined":
      count = json["members"]?.asInt ?? -1
      guard id != nil else { break }
      (stay, users) = (.joined, nil)
      if let greeting { say(greeting) }
    case "left": (stay, users) = (.out, nil)
    case "ack": isStateDue = false
    case "error": refuse(id ?? "", json)
    case "presence": add(json, isFirst: id?.first == "f")
    case "user_joined": change(json, by: 1)
    case "user_left": change(json, by: -1)
    case "presence_update": update(json)
    case "user_state":
      if let user = json["user"]?.asString, users?[user] != nil { users?[user] = json["state"]?.asString ?? "" }
    default: complaints.append("unexpected \(type)")
    }
  }

  private mutating func refuse(_ id: String, _ json: JSONValue) {
    switch id.first {
    case "j": stay = .out
    case "s":
      isStateDue = false
      say(said)
    case "f", "p":
      pagesDue -= 1
      if stay == .joined { ask(after: nil) }
    default: complaints.append("refused: \(json)")
    }
  }

  private mutating func add(_ json: JSONValue, isFirst: Bool) {
    pagesDue -= 1
    guard stay == .joined || stay == .leaving else { return complaints.append("presence before joined") }
    if isFirst { users = [:] }
    let members = json["members"]?.asArray ?? []
    for member in members {
      if let user = member["user"]?.asString { users?[user] = member["state"]?.asString ?? "" }
    }
    if json["more"]?.asBool == true, stay == .joined { ask(after: members.last?["user"]?.asString) }
  }

  private mutating func change(_ json: JSONValue, by step: Int) {
    guard let user = json["user"]?.asString else { return }
    count += step
    if step > 0 { insert(user) } else { users?[user] = nil }
  }

  private mutating func insert(_ user: String) { users?[user, default: ""] += "" }

  private mutating func update(_ json: JSONValue) {
    count = json["count"]?.asInt ?? -1
    for user in (json["joined"]?.asArray ?? []).compactMap(\.asString) { insert(user) }
    for user in (json["left"]?.asArray ?? []).compactMap(\.asString) { users?[user] = nil }
    // More have changed than are named.
    if json["more"]?.asBool == true, stay == .joined { ask(after: nil) }
  }
}
