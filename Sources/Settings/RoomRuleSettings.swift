import JSONCore

/// What becomes of a room's messages for a client that does not take them.
public enum SlowReaderPolicy: String, CaseIterable, Sendable {
  case disconnect
  case dropOldest = "drop-oldest"
  case latest
  /// Nothing beyond the interval that `throttle` sets: with `key` each flush holds the newest of each key.
  case throttle
}

/// One entry of the settings file's `rooms`: how the rooms of some names behave. The first entry that fits a room holds.
public struct RoomRuleSettings: Equatable, Sendable {
  /// A glob for room names: `*` stands for any bytes.
  public var match = ""
  /// Messages kept; nil: as for all rooms.
  public var historySize: Int?
  /// How long they are kept; nil: as for all rooms.
  public var historyTTLMilliseconds: Int?
  /// Whether members show in presence.
  public var presence = true
  /// Whether clients may join.
  public var join = true
  /// Whether clients may publish; the admin endpoint always may.
  public var publish = true
  /// What becomes of messages that a client does not take.
  public var slow = SlowReaderPolicy.disconnect
  /// The member of a message that tells what it is about, for `latest`; nil: all are about one thing.
  public var key: String?
  /// Bytes kept for clients that are behind; nil: as many as may wait for one client.
  public var queueBytes: Int?
  /// Time between two flushes; 0: whenever there is something.
  public var throttleMilliseconds = 0
  /// Users up to which each who comes or goes is announced; nil: as for all rooms.
  public var presenceAnnounceMax: Int?
  /// Time between two announcements in sum; nil: as for all rooms.
  public var presenceIntervalMilliseconds: Int?
  /// Time that a user who has left stays in presence; nil: as for all rooms.
  public var leaveDebounceMilliseconds: Int?
}

extension RoomRuleSettings {
  /// Rules in one file. Each room that is made is tried against them in turn.
  static let rulesMax = 1000

  /// The keys of a rule.
  private static let options: [Option<RoomRuleSettings>] = [
    .text("match", \.match, "GLOB", "which rooms", problem: matchProblem),
    .optionalInteger("history-size", \.historySize, 0...100_000),
    .optionalDuration("history-ttl", \.historyTTLMilliseconds, 1000...604_800_000),
    .toggle("presence", \.presence, "whether members show"),
    .toggle("join", \.join, "whether clients may join"),
    .toggle("publish", \.publish, "whether clients may publish"),
    .choice("slow", \.slow, "what becomes of messages that a client does not take"),
    .text("key", \.key, "NAME", "member that tells what a message is about"),
    .optionalSize("queue", \.queueBytes, 1024...(64 << 20)),
    // Below 10 ms a tick gathers as much by itself; above 10 s a joiner would wait too long for its place.
    .duration("throttle", \.throttleMilliseconds, 10...10_000, "least time between two flushes"),
    .optionalInteger("presence-announce-max", \.presenceAnnounceMax, 0...100_000),
    .optionalDuration("presence-interval", \.presenceIntervalMilliseconds, 100...60_000),
    .optionalDuration("leave-debounce", \.leaveDebounceMilliseconds, 0...3_600_000),
  ]

  /// Reads the value of `rooms`. An error names the rule, counted from 1, and its key.
  static func parse(_ value: JSONValue) -> Result<[RoomRuleSettings], SettingsError> {
    guard let elements = value.asArray else { return .failure(SettingsError(message: "expected an array of rules")) }
    guard elements.count <= rulesMax else {
      return .failure(SettingsError(message: "has \(elements.count) rules; expected at most \(rulesMax)"))
    }
    var rules: [RoomRuleSettings] = []
    for (index, element) in elements.enumerated() {
      do throws(SettingsError) {
        rules.append(try RoomRuleSettings(element))
      } catch {
        return .failure(SettingsError(message: "rule \(index + 1): \(error.message)"))
      }
    }
    return .success(rules)
  }

  private init(_ value: JSONValue) throws(SettingsError) {
    guard let members = value.asObject else { throw SettingsError(message: "expected an object with match and others") }
    for (index, member) in members.enumerated() {
      let key = String(decoding: member.key, as: UTF8.self)
      if members[..<index].contains(where: { $0.key == member.key }) {
        throw SettingsError(message: "key \"\(OptionTable<Self>.shortened(key))\" stands twice; expected it once")
      }
      guard let option = Self.options.first(where: { $0.key == key }) else { throw Self.unknown(key) }
      try OptionTable<Self>.assign(member.value, to: option, &self, source: key)
    }
    if match.isEmpty { throw SettingsError(message: "match is missing; expected a glob such as \"chat:*\"") }
    if key != nil, slow != .latest, slow != .throttle {
      throw SettingsError(message: "key needs \"slow\": \"latest\" or \"throttle\"")
    }
    if slow == .throttle, throttleMilliseconds == 0 {
      throw SettingsError(message: "\"slow\": \"throttle\" needs throttle, an interval such as \"100ms\"")
    }
    if !presence, presenceAnnounceMax != nil || presenceIntervalMilliseconds != nil || leaveDebounceMilliseconds != nil
    {
      throw SettingsError(
        message: "presence-announce-max, presence-interval and leave-debounce need presence, which this rule turns off")
    }
    if queueBytes != nil, slow == .disconnect || slow == .throttle && key == nil {
      throw SettingsError(message: "queue needs \"slow\": \"drop-oldest\" or \"latest\"")
    }
  }

  private static func unknown(_ key: String) -> SettingsError {
    let keys = options.map(\.key)
    let hint = NearMiss.question(key, among: keys) ?? "expected \(keys.joined(separator: ", "))"
    return SettingsError(message: "unknown key \"\(OptionTable<Self>.shortened(key))\"; \(hint)")
  }

  /// A room is 1 to 200 bytes, so a longer glob without stars fits none.
  @Sendable private static func matchProblem(_ text: String) -> String? {
    text.utf8.count <= 400 ? nil : "is longer than 400 bytes; rooms have at most 200"
  }
}

extension Option where Target == RoomRuleSettings {
  fileprivate static func optionalInteger(
    _ key: String, _ path: WritableKeyPath<Target, Int?> & Sendable, _ range: ClosedRange<Int>
  ) -> Self {
    .integer(key, path, range, whenUnset: "as for all rooms", "")
  }

  fileprivate static func optionalDuration(
    _ key: String, _ path: WritableKeyPath<Target, Int?> & Sendable, _ range: ClosedRange<Int>
  ) -> Self {
    optional(.text, .duration(key, \.value, range, ""), path)
  }

  fileprivate static func optionalSize(
    _ key: String, _ path: WritableKeyPath<Target, Int?> & Sendable, _ range: ClosedRange<Int>
  ) -> Self {
    optional(.size, .size(key, \.value, range, ""), path)
  }

  private static func optional(
    _ form: Form, _ required: Option<Holder>, _ path: WritableKeyPath<Target, Int?> & Sendable
  ) -> Self {
    Self(
      required.key, form: form, placeholder: required.placeholder, help: "", defaultText: { _ in nil }
    ) { rule, text in
      Holder.pass(text, through: required, to: &rule[keyPath: path])
    }
  }
}

/// Lets a value that may be absent be judged like one that may not.
private struct Holder: Sendable {
  var value = 0

  static func pass(_ text: String, through option: Option<Holder>, to target: inout Int?) -> String? {
    var holder = Holder()
    if let problem = option.assign(&holder, text) { return problem }
    target = holder.value
    return nil
  }
}
