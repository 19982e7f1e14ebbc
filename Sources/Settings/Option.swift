import JSONCore

/// One setting of a `Target`: its names, what it accepts, and where its value goes.
///
/// The default is whatever a fresh `Target` holds, so it is stated once.
public struct Option<Target: Sendable>: Sendable {
  /// How a value is written.
  public enum Form: Sendable {
    /// Stands alone on a command line and means yes.
    case flag
    /// Means yes alone, or takes `on` or `off`; its `--no-` form means no.
    case toggle
    /// A whole number in a settings file.
    case integer
    /// Any number in a settings file.
    case decimal
    /// A number or a string with a suffix in a settings file.
    case size
    /// A string.
    case text
    /// A string with commas, or an array of strings in a settings file.
    case list
    /// Any JSON, in a settings file only.
    case document
  }

  /// Which places besides the command line may set an option.
  public enum Reach: Sendable {
    case argumentsOnly
    case argumentsAndEnvironment
    case everywhere
    case fileOnly

    var includesFile: Bool { self == .everywhere || self == .fileOnly }
    var includesArguments: Bool { self != .fileOnly }
    var includesEnvironment: Bool { self == .everywhere || self == .argumentsAndEnvironment }
  }

  /// The name in a settings file, such as `pingInterval`.
  public let key: String
  /// How a value is written, and which type it has in a settings file.
  public let form: Form
  /// What stands for the value in the help, such as `DURATION`; empty for a flag.
  public let placeholder: String
  /// One line for the help, without the default.
  public let help: String
  /// The heading in the help; empty for none.
  public private(set) var group = ""
  /// The places that may set the option.
  public private(set) var reach = Reach.everywhere
  /// Whether the value must never be shown.
  public private(set) var isSecret = false
  /// Shows what is no secret of a value that holds one; nil: nothing of a secret is shown.
  private(set) var masked: (@Sendable (String) -> String)?
  /// Whether the argument after a flag is its value rather than another argument; nil: never.
  private(set) var takesNext: (@Sendable (String) -> Bool)?
  /// Shows the default in the help; nil when there is nothing to show.
  let defaultText: @Sendable (Target) -> String?
  /// Stores a value; returns what is wrong with it, as the rest of a sentence that began with the value.
  let assign: @Sendable (inout Target, String) -> String?
  /// Stores a document; returns what is wrong with it. Nil for every other form.
  private(set) var assignDocument: (@Sendable (inout Target, JSONValue) -> String?)?

  /// Makes an option of any kind; the static functions make the usual ones.
  public init(
    _ key: String, form: Form, placeholder: String, help: String,
    defaultText: @escaping @Sendable (Target) -> String?,
    assign: @escaping @Sendable (inout Target, String) -> String?
  ) {
    self.key = key
    self.form = form
    self.placeholder = placeholder
    self.help = help
    self.defaultText = defaultText
    self.assign = assign
  }

  /// Makes an option that only a settings file can set, to a value of any shape.
  public static func document(
    _ key: String, _ assign: @escaping @Sendable (inout Target, JSONValue) -> String?
  ) -> Self {
    var option = Self(
      key, form: .document, placeholder: "", help: "", defaultText: { _ in nil }, assign: { _, _ in nil })
    option.reach = .fileOnly
    option.assignDocument = assign
    return option
  }

  /// The name on a command line, such as `--ping-interval`.
  public var flag: String { "--" + words.joined(separator: "-") }

  /// The name of the environment variable, such as `ROOST_PING_INTERVAL`.
  public var variable: String { "ROOST_" + words.map { $0.uppercased() }.joined(separator: "_") }

  /// Whether an environment variable sets the option.
  public var isInEnvironment: Bool { reach.includesEnvironment }

  /// Puts options under one heading of the help.
  public static func group(_ group: String, _ options: [Self]) -> [Self] {
    options.map { option in
      var copy = option
      copy.group = group
      return copy
    }
  }

  /// Returns the option limited to some places.
  public func from(_ reach: Reach) -> Self {
    var copy = self
    copy.reach = reach
    return copy
  }

  /// Returns the option with its value kept out of every message.
  public func secret() -> Self {
    var copy = self
    copy.isSecret = true
    return copy
  }

  /// Returns the flag with a value that may follow it, as the next argument or after `=`: one that `takesNext` knows as such.
  public func withValue(_ takesNext: @escaping @Sendable (String) -> Bool) -> Self {
    var copy = self
    copy.takesNext = takesNext
    return copy
  }

  /// Returns the option with a part of its value kept out of every message: of a value that was accepted, `masked` shows the
  /// rest where settings are listed; a wrong one is shown nowhere.
  public func secret(masked: @escaping @Sendable (String) -> String) -> Self {
    var copy = secret()
    copy.masked = masked
    return copy
  }

  private var words: [String] {
    var words = [""]
    for character in key {
      if character.isUppercase { words.append("") }
      words[words.count - 1].append(character.lowercased())
    }
    return words
  }
}
