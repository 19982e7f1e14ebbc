import JSONCore

/// How the sender of a hook signs its deliveries.
public enum IncomingHookScheme: String, CaseIterable, Sendable {
  /// `X-Hub-Signature-256`, over the body.
  case github
  /// `Stripe-Signature`, over a time stamp and the body.
  case stripe
  /// `Roost-Signature`, over a time stamp and the body: what a node signs its webhooks with.
  case roost
}

/// One entry of the settings file's `hooks`: another service whose signed events are published in a room.
public struct IncomingHookSettings: Equatable, Sendable {
  /// The end of its path, `/hooks/NAME`, and the member `hook` of its messages.
  public var name = ""
  /// The keys that a delivery may be signed with: any of them.
  public var secrets: [String] = []
  /// How it signs.
  public var scheme: IncomingHookScheme?
  /// Where its events are published.
  public var room = ""
}

extension IncomingHookSettings {
  /// Hooks of one node: each request is compared with their names in turn.
  static let hooksMax = 100
  /// Secrets of one hook: a wrong delivery costs one HMAC for each.
  static let secretsMax = 8

  /// The keys of a hook.
  private static let options: [Option<IncomingHookSettings>] = [
    .text("name", \.name, "NAME", "end of the path", problem: nameProblem),
    .document("secret") { hook, value in hook.assignSecrets(value) },
    Option(
      "scheme", form: .text, placeholder: "SCHEME", help: "how the sender signs", defaultText: { _ in nil }
    ) { hook, text in
      hook.scheme = IncomingHookScheme(rawValue: text)
      return hook.scheme == nil ? "is unknown; expected \(schemes)" : nil
    },
    .text("room", \.room, "ROOM", "where events are published", problem: roomProblem),
  ]

  private static let schemes = IncomingHookScheme.allCases.map(\.rawValue).joined(separator: ", ")

  /// Reads the value of `hooks`. An error names the hook, counted from 1, and its key.
  static func parse(_ value: JSONValue) -> Result<[IncomingHookSettings], SettingsError> {
    guard let elements = value.asArray else { return .failure(SettingsError(message: "expected an array of hooks")) }
    guard elements.count <= hooksMax else {
      return .failure(SettingsError(message: "has \(elements.count) hooks; expected at most \(hooksMax)"))
    }
    var hooks: [IncomingHookSettings] = []
    for (index, element) in elements.enumerated() {
      do throws(SettingsError) {
        let hook = try IncomingHookSettings(element)
        guard !hooks.contains(where: { $0.name == hook.name }) else {
          throw SettingsError(message: "name \"\(hook.name)\" is that of an earlier hook; expected another one")
        }
        hooks.append(hook)
      } catch {
        return .failure(SettingsError(message: "hook \(index + 1): \(error.message)"))
      }
    }
    return .success(hooks)
  }

  private init(_ value: JSONValue) throws(SettingsError) {
    let keys = Self.options.map(\.key)
    guard let members = value.asObject else {
      throw SettingsError(message: "expected an object with \(keys.joined(separator: ", "))")
    }
    for (index, member) in members.enumerated() {
      let key = String(decoding: member.key, as: UTF8.self)
      if members[..<index].contains(where: { $0.key == member.key }) {
        throw SettingsError(message: "key \"\(OptionTable<Self>.shortened(key))\" stands twice; expected it once")
      }
      guard let option = Self.options.first(where: { $0.key == key }) else {
        let hint =
          NearMiss.question(key, among: keys) ?? "expected \(keys.joined(separator: ", "))"
        throw SettingsError(message: "unknown key \"\(OptionTable<Self>.shortened(key))\"; \(hint)")
      }
      try OptionTable<Self>.assign(member.value, to: option, &self, source: key)
    }
    if name.isEmpty { throw SettingsError(message: "name is missing; expected the end of its path, /hooks/NAME") }
    if secrets.isEmpty {
      throw SettingsError(message: "secret is missing; expected the key that its sender signs with")
    }
    if scheme == nil { throw SettingsError(message: "scheme is missing; expected \(Self.schemes)") }
    if room.isEmpty { throw SettingsError(message: "room is missing; expected the room to publish in") }
  }

  /// Takes one secret, or several in an array. The message holds none of them.
  private mutating func assignSecrets(_ value: JSONValue) -> String? {
    let elements = value.asArray ?? [value]
    guard (1...Self.secretsMax).contains(elements.count) else {
      return "has \(elements.count) secrets; expected 1 to \(Self.secretsMax)"
    }
    for element in elements {
      guard let secret = element.asString else { return "expected a string or an array of strings" }
      // A short one is warned of at the start, as every secret is.
      guard !secret.isEmpty else { return "is empty; openssl rand -hex 32 makes one" }
      secrets.append(secret)
    }
    return nil
  }

  @Sendable private static func nameProblem(_ text: String) -> String? {
    let isPlain =
      text.utf8.count <= 64 && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
      && !text.allSatisfy { $0 == "." }
    return isPlain ? nil : "is no name of a hook; expected at most 64 letters, digits, dots, dashes or underscores"
  }

  @Sendable private static func roomProblem(_ text: String) -> String? {
    let isRoom =
      text.utf8.count <= 200 && !text.hasSuffix("*")
      && !text.unicodeScalars.contains { $0.properties.generalCategory == .control }
    return isRoom ? nil : "is no room; expected at most 200 bytes without control characters, and no * at the end"
  }
}
