/// The options and other arguments of one command line, in the order they were typed.
public struct ArgumentList: Sendable, Equatable {
  /// One option with its value.
  public struct Entry: Sendable, Equatable {
    /// The option's key.
    public let key: String
    /// The flag as it was typed.
    public let flag: String
    /// The text of the value; `on` or `off` for a flag that stands alone.
    public let value: String
  }

  /// The options in the order they were typed.
  public internal(set) var entries: [Entry] = []
  /// The arguments that are no options.
  public internal(set) var positionals: [String] = []

  /// Returns the value of the option typed last; nil when it was not typed.
  public func value(of key: String) -> String? { entries.last { $0.key == key }?.value }
}

extension OptionTable {
  /// What a first look at the arguments says.
  public enum Reading: Sendable {
    case list(ArgumentList)
    case help
    case version
  }

  /// Splits arguments into options and others, without looking at the values.
  ///
  /// `--help`, `-h` and `--version` win over everything, errors included. `--` ends the options.
  public func read(_ arguments: [String]) throws(SettingsError) -> Reading {
    let beforeEnd = arguments.prefix { $0 != "--" }
    if beforeEnd.contains("--help") || beforeEnd.contains("-h") { return .help }
    if beforeEnd.contains("--version") { return .version }
    var list = ArgumentList()
    var index = 0
    while index < arguments.count {
      let argument = arguments[index]
      index += 1
      if argument == "--" {
        list.positionals += arguments[index...]
        break
      }
      if !argument.hasPrefix("-") || argument == "-" {
        list.positionals.append(argument)
        continue
      }
      list.entries.append(try entry(argument, followedBy: arguments, at: &index))
    }
    try check(list.positionals)
    return .list(list)
  }

  /// Stores the values that were typed; the last one wins.
  public func apply(_ list: ArgumentList, to target: inout Target) throws(SettingsError) {
    for entry in list.entries {
      guard let option = options.first(where: { $0.key == entry.key }) else { continue }
      if let problem = option.assign(&target, entry.value) {
        throw SettingsError(message: Self.message(entry.flag, entry.value, problem, isSecret: option.isSecret))
      }
    }
  }

  private func entry(
    _ argument: String, followedBy arguments: [String], at index: inout Int
  ) throws(SettingsError) -> ArgumentList.Entry {
    let parts = argument.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let flag = String(parts[0])
    let inlineValue = parts.count > 1 ? String(parts[1]) : nil
    if let option = options.first(where: { $0.form == .toggle && flag == "--no-" + $0.flag.dropFirst(2) }) {
      guard inlineValue == nil else {
        throw SettingsError(message: "\(flag) takes no value; expected \(flag) alone or \(option.flag)=off")
      }
      return ArgumentList.Entry(key: option.key, flag: flag, value: "off")
    }
    guard let option = options.first(where: { $0.flag == flag && $0.reach.includesArguments }) else {
      throw unknown(flag)
    }
    if let inlineValue { return ArgumentList.Entry(key: option.key, flag: flag, value: inlineValue) }
    let next = index < arguments.count ? arguments[index] : nil
    switch option.form {
    case .flag:
      guard let next, option.takesNext?(next) == true else {
        return ArgumentList.Entry(key: option.key, flag: flag, value: "on")
      }
      index += 1
      return ArgumentList.Entry(key: option.key, flag: flag, value: next)
    case .toggle:
      guard let next, Quantity.toggle(next) != nil else {
        return ArgumentList.Entry(key: option.key, flag: flag, value: "on")
      }
      index += 1
      return ArgumentList.Entry(key: option.key, flag: flag, value: next)
    case .integer, .decimal, .size, .text, .list, .document:
      guard let next, !next.hasPrefix("--") else {
        throw SettingsError(message: "\(flag) needs a value: \(flag) \(option.placeholder)")
      }
      index += 1
      return ArgumentList.Entry(key: option.key, flag: flag, value: next)
    }
  }

  private func unknown(_ flag: String) -> SettingsError {
    let flags =
      options.filter(\.reach.includesArguments).map(\.flag)
      + options.filter { $0.form == .toggle }.map { "--no-" + $0.flag.dropFirst(2) }
    let hint = NearMiss.question(flag, among: flags + ["--help", "--version"]) ?? "\(command) --help lists all flags"
    return SettingsError(message: "unknown flag \(Self.shortened(flag)); \(hint)")
  }

  private func check(_ found: [String]) throws(SettingsError) {
    if found.count > positionals.upperBound {
      let surplus = Self.shortened(found[positionals.upperBound])
      throw SettingsError(message: "unexpected argument \"\(surplus)\"; expected: \(command) \(usage)")
    }
    if found.count < positionals.lowerBound {
      throw SettingsError(message: "an argument is missing; expected: \(command) \(usage)")
    }
  }
}
