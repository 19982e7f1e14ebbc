/// The options of one command, read the same way from arguments, environment and settings file.
public struct OptionTable<Target: Sendable>: Sendable {
  /// The command as it is typed, such as `roost serve`.
  public let command: String
  /// What follows the command in the help, such as `ROOM [OPTIONS]`.
  public let usage: String
  /// One or more sentences about the command for the help.
  public let summary: String
  /// The options in the order of the help.
  public let options: [Option<Target>]
  /// How many arguments that are no options the command takes.
  public let positionals: ClosedRange<Int>
  /// Text that ends the help; may be empty.
  public let footer: String

  /// Makes a table; the keys of its options must differ.
  public init(
    command: String, usage: String, summary: String, positionals: ClosedRange<Int> = 0...0,
    options: [Option<Target>], footer: String = ""
  ) {
    self.command = command
    self.usage = usage
    self.summary = summary
    self.positionals = positionals
    self.options = options
    self.footer = footer
  }

  /// What a command line asks for.
  public enum Parsed: Sendable {
    case run(Target, positionals: [String])
    case help(String)
    case version
  }

  /// Reads the environment, then the arguments over it; the whole of what a command without a settings file needs.
  ///
  /// `arguments` begin behind the command's name; `target` holds the defaults.
  public func parse(
    arguments: [String], environment: [String: String], defaults: Target
  ) throws(SettingsError) -> Parsed {
    switch try read(arguments) {
    case .help: return .help(help(defaults: defaults))
    case .version: return .version
    case .list(let list):
      var target = defaults
      try apply(environment: environment, to: &target)
      try apply(list, to: &target)
      return .run(target, positionals: list.positionals)
    }
  }

  /// Stores the values of all variables that belong to this table; others, and empty ones, are left alone.
  public func apply(environment: [String: String], to target: inout Target) throws(SettingsError) {
    for option in options where option.reach.includesEnvironment {
      guard let text = environment[option.variable], !text.isEmpty else { continue }
      guard let problem = option.assign(&target, text) else { continue }
      var message = Self.message(option.variable, text, problem, isSecret: option.isSecret)
      if text.hasPrefix("tcp://") {
        message += " (Kubernetes sets such variables for a service of this name: use enableServiceLinks: false)"
      }
      throw SettingsError(message: message)
    }
  }

  /// Composes the one line that every wrong value is reported with.
  static func message(_ source: String, _ text: String, _ problem: String, isSecret: Bool) -> String {
    "\(source): \(isSecret ? "the value" : "\"\(shortened(withoutCredentials(text)))\"") \(problem)"
  }

  /// Masks what stands before the @ of a URL: a password, as often as not.
  static func withoutCredentials(_ text: String) -> String {
    guard let at = text.lastIndex(of: "@"), let scheme = text.firstIndex(of: ":"), scheme < at else { return text }
    let slashes = text[text.index(after: scheme)...].prefix { $0 == "/" }
    return slashes.isEmpty ? text : text[..<slashes.endIndex] + "***" + text[at...]
  }

  /// Keeps a wrong value of any length and content on one line.
  static func shortened(_ text: String) -> String {
    var plain = ""
    for scalar in text.unicodeScalars {
      plain.unicodeScalars.append(scalar.properties.generalCategory == .control ? "?" : scalar)
    }
    return plain.count <= 80 ? plain : plain.prefix(80) + "…"
  }
}
