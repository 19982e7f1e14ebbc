import JSONCore

extension OptionTable {
  /// Stores the values of a settings file: one JSON object whose keys are the options' keys.
  ///
  /// `name` is how errors call the file. A key that stands twice is refused: one of its values would be ignored.
  public func apply(file bytes: [UInt8], name: String, to target: inout Target) throws(SettingsError) {
    let document: JSONValue
    do {
      document = try JSONValue.parse(bytes.span)
    } catch {
      throw SettingsError(message: "\(name): malformed JSON: \(error)")
    }
    guard let members = document.asObject else {
      throw SettingsError(message: "\(name): expected one JSON object with a key for each setting")
    }
    for (index, member) in members.enumerated() {
      let key = String(decoding: member.key, as: UTF8.self)
      if members[..<index].contains(where: { $0.key == member.key }) {
        throw SettingsError(message: "key \"\(Self.shortened(key))\" stands twice in \(name); expected it once")
      }
      guard let option = options.first(where: { $0.key == key && $0.reach.includesFile }) else {
        throw unknown(key: key, file: name)
      }
      try Self.assign(member.value, to: option, &target, source: "\(key) in \(name)")
    }
  }

  /// Stores one value of a file. `source` is how errors call the place that it stands at.
  static func assign(
    _ value: JSONValue, to option: Option<Target>, _ target: inout Target, source: String
  ) throws(SettingsError) {
    if let assign = option.assignDocument {
      guard let problem = assign(&target, value) else { return }
      throw SettingsError(message: "\(source): \(problem)")
    }
    guard let text = text(value, for: option.form) else {
      throw SettingsError(
        message: "\(source): \(kind(of: value)) is not accepted; expected \(expectation(for: option.form))")
    }
    if let problem = option.assign(&target, text) {
      throw SettingsError(message: message(source, text, problem, isSecret: option.isSecret))
    }
  }

  private func unknown(key: String, file: String) -> SettingsError {
    let keys = options.filter(\.reach.includesFile).map(\.key)
    let hint = NearMiss.question(key, among: keys) ?? "\(command) --help lists all settings"
    return SettingsError(message: "unknown key \"\(Self.shortened(key))\" in \(file); \(hint)")
  }

  /// Turns a value into the text that a command line would have; nil when its type does not fit.
  static func text(_ value: JSONValue, for form: Option<Target>.Form) -> String? {
    switch (form, value) {
    case (.flag, .bool(let bool)), (.toggle, .bool(let bool)): bool ? "on" : "off"
    case (.integer, .number(let digits)), (.decimal, .number(let digits)), (.size, .number(let digits)):
      String(decoding: digits, as: UTF8.self)
    case (.flag, .string), (.toggle, .string), (.size, .string), (.text, .string), (.list, .string): value.asString
    case (.list, .array(let elements)): joined(elements)
    default: nil
    }
  }

  private static func joined(_ elements: [JSONValue]) -> String? {
    let words = elements.compactMap(\.asString)
    return words.count == elements.count ? words.joined(separator: ",") : nil
  }

  private static func expectation(for form: Option<Target>.Form) -> String {
    switch form {
    case .flag, .toggle: "true or false"
    case .integer, .decimal: "a number"
    case .size: "a number of bytes or a string such as \"64k\""
    case .text: "a string"
    case .list: "an array of strings or a string with commas"
    case .document: "JSON"
    }
  }

  private static func kind(of value: JSONValue) -> String {
    switch value {
    case .null: "null"
    case .bool: "a boolean"
    case .number: "a number"
    case .string: "a string"
    case .array: "an array"
    case .object: "an object"
    }
  }
}
