import JSONCore

/// The value that a setting has, and which place it came from.
public struct SettingInForce: Sendable, Equatable {
  /// The place whose value won.
  public enum Origin: Sendable, Equatable {
    /// The command line, with the flag as it was typed.
    case flag(String)
    /// The environment, with the name of the variable.
    case variable(String)
    /// The settings file, with its path.
    case file(String)
    /// No place: the value is the default.
    case standard
  }

  /// The key in a settings file, such as `pingInterval`.
  public let key: String
  /// The value as text; `***` for a secret that is set, and in the place of those in a URL; nil when nothing is set and there is no default.
  public let value: String?
  /// Where the value came from.
  public let origin: Origin
}

extension OptionTable {
  /// Lists every option with its value and where the value came from, in the order of the help.
  ///
  /// The values must have been accepted before; see `parse`. What only a settings file can set, such as a list of rules, is
  /// shown as the number of its entries, since an entry may hold a secret.
  public func inForce(
    _ list: ArgumentList, environment: [String: String], file: (name: String, bytes: [UInt8])?, defaults: Target
  ) -> [SettingInForce] {
    let members = file.flatMap { (try? JSONValue.parse($0.bytes.span))?.asObject } ?? []
    return options.map { option in
      if let entry = list.entries.last(where: { $0.key == option.key }) {
        return inForce(option, entry.value, .flag(entry.flag))
      }
      if option.reach.includesEnvironment, let text = environment[option.variable], !text.isEmpty {
        return inForce(option, text, .variable(option.variable))
      }
      if let file, let member = members.first(where: { $0.key == Array(option.key.utf8) }) {
        return inForce(option, Self.shown(member.value, for: option.form), .file(file.name))
      }
      return SettingInForce(key: option.key, value: option.defaultText(defaults), origin: .standard)
    }
  }

  private func inForce(_ option: Option<Target>, _ text: String, _ origin: SettingInForce.Origin) -> SettingInForce {
    let value =
      option.isSecret
      ? option.masked.map { Self.shortened($0(text)) } ?? "***" : Self.shortened(Self.withoutCredentials(text))
    return SettingInForce(key: option.key, value: value, origin: origin)
  }

  private static func shown(_ value: JSONValue, for form: Option<Target>.Form) -> String {
    guard form == .document else { return text(value, for: form) ?? "" }
    let count = value.asArray?.count ?? value.asObject?.count ?? 1
    return count == 1 ? "1 entry" : "\(count) entries"
  }
}
