/// What a command line of one command may have: what completion and the manual are made from.
public struct CommandSynopsis: Sendable, Equatable {
  /// One option.
  public struct Option: Sendable, Equatable {
    /// The name on a command line, such as `--ping-interval`.
    public let flag: String
    /// What stands for the value, such as `DURATION`; empty for an option without one.
    public let placeholder: String
    /// What it does and its default, without line breaks.
    public let help: String
    /// The heading that it stands under; empty for none.
    public let group: String
    /// Whether `--no-` may stand before its name.
    public let isToggle: Bool

    /// The words that the value may be, where there are a few only.
    public var words: [String] {
      if isToggle { return ["on", "off"] }
      return placeholder.contains("|") ? placeholder.split(separator: "|").map(String.init) : []
    }

    /// Whether the value is the path of a file.
    public var isPath: Bool { placeholder == "FILE" }
  }

  /// The words after `roost`, such as `serve` or `bench fanout`.
  public let words: String
  /// What follows them, such as `ROOM [OPTIONS]`.
  public let usage: String
  /// One or more sentences.
  public let summary: String
  /// In the order of the help.
  public let options: [Option]
  /// Sentences that end the help; may be empty.
  public let footer: String

  /// Makes the synopsis of a command without a table of options; see `OptionTable.synopsis`.
  public init(words: String, usage: String, summary: String, options: [Option], footer: String) {
    self.words = words
    self.usage = usage
    self.summary = summary
    self.options = options
    self.footer = footer
  }
}

extension OptionTable {
  /// Describes the command for completion and the manual. `command` must begin with `roost `.
  public func synopsis(defaults: Target) -> CommandSynopsis {
    CommandSynopsis(
      words: String(command.dropFirst("roost ".count)), usage: usage, summary: summary,
      options: options.filter(\.reach.includesArguments).map { option in
        let standard = option.defaultText(defaults).map { " (default \($0))" } ?? ""
        return CommandSynopsis.Option(
          flag: option.flag, placeholder: option.placeholder, help: option.help + standard, group: option.group,
          isToggle: option.form == .toggle)
      }, footer: footer)
  }
}

extension ServerSettings {
  /// What a command line of `roost serve` may have.
  public static var synopsis: CommandSynopsis { table.synopsis(defaults: ServerSettings()) }
}
