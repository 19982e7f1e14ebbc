extension OptionTable {
  /// The widest line of the help in columns.
  static var helpColumns: Int { 100 }
  /// Where the descriptions begin, in columns.
  private static var helpIndent: Int { 34 }

  /// Writes the help: usage, summary, every option with default and unit by group, footer.
  public func help(defaults: Target) -> String {
    var lines = ["Usage: \(command) \(usage)", ""]
    lines += Self.wrapped(summary.split(separator: " "), indent: 0)
    var group: String?
    for option in options where option.reach.includesArguments {
      if option.group != group {
        group = option.group
        lines += ["", option.group.isEmpty ? "Options" : option.group]
      }
      lines += Self.lines(of: option, defaults: defaults)
    }
    lines += Self.entry("  -h, --help", ["print this text and exit"])
    lines += Self.entry("  --version", ["print the version and exit"])
    if !footer.isEmpty { lines += [""] + Self.wrapped(footer.split(separator: " "), indent: 0) }
    return lines.joined(separator: "\n") + "\n"
  }

  private static func lines(of option: Option<Target>, defaults: Target) -> [String] {
    let name = option.placeholder.isEmpty ? option.flag : "\(option.flag) \(option.placeholder)"
    var words = option.help.split(separator: " ")
    // One word for the wrapping, so that a default never stands on two lines.
    if let value = option.defaultText(defaults) { words.append("(default \(value))") }
    return entry("  " + name, words)
  }

  private static func entry(_ name: String, _ words: [Substring]) -> [String] {
    var lines = wrapped(words, indent: helpIndent)
    if name.count + 2 > helpIndent { return [name] + lines }
    let padding = String(repeating: " ", count: helpIndent - name.count)
    lines[0] = name + padding + lines[0].dropFirst(helpIndent)
    return lines
  }

  private static func wrapped(_ words: [Substring], indent: Int) -> [String] {
    let margin = String(repeating: " ", count: indent)
    var lines: [String] = []
    var line = margin
    for word in words {
      if line.count > indent, line.count + 1 + word.count > helpColumns {
        lines.append(line)
        line = margin
      }
      line += (line.count > indent ? " " : "") + word
    }
    lines.append(line)
    return lines
  }
}
