import ClientCore
import Settings

/// Writes scripts that complete command lines of `roost`, made from the tables of options. Pure.
enum Completion {
  /// A shell that has a script.
  enum Shell: String, CaseIterable {
    case bash, zsh, fish
  }

  static func script(for shell: Shell, _ commands: [CommandSynopsis]) -> String {
    switch shell {
    case .bash: bash(commands)
    case .zsh: zsh(commands)
    case .fish: fish(commands)
    }
  }

  /// The first words of all commands, each once.
  private static func names(_ commands: [CommandSynopsis]) -> [String] {
    var names: [String] = []
    for command in commands {
      let name = String(command.words.prefix { $0 != " " })
      if !names.contains(name) { names.append(name) }
    }
    return names + ["help"]
  }

  /// The second words of commands that have them, such as `fanout` of `bench`.
  private static func kinds(_ name: String, _ commands: [CommandSynopsis]) -> [String] {
    commands.filter { $0.words.hasPrefix(name + " ") }.map { String($0.words.dropFirst(name.count + 1)) }
  }

  /// All options of the commands with one first word, each once.
  private static func options(_ name: String, _ commands: [CommandSynopsis]) -> [CommandSynopsis.Option] {
    var options: [CommandSynopsis.Option] = []
    for command in commands where command.words == name || command.words.hasPrefix(name + " ") {
      for option in command.options where !options.contains(where: { $0.flag == option.flag }) {
        options.append(option)
      }
    }
    return options
  }

  private static func flags(_ options: [CommandSynopsis.Option]) -> [String] {
    options.flatMap { $0.isToggle ? [$0.flag, "--no-" + $0.flag.dropFirst(2)] : [$0.flag] } + ["--help", "--version"]
  }

  /// The first sentence of a text.
  private static func sentence(_ text: String) -> String { String(text.prefix { $0 != "." && $0 != ":" }) }

  // MARK: bash

  private static func bash(_ commands: [CommandSynopsis]) -> String {
    var lines = [
      "# bash completion for roost: source <(roost completion bash)",
      "_roost() {",
      "  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]} command=${COMP_WORDS[1]}",
      "  COMPREPLY=()",
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then",
      "    COMPREPLY=($(compgen -W \"\(names(commands).joined(separator: " "))\" -- \"$word\"))",
      "    return",
      "  fi",
      "  case $command in",
    ]
    for name in names(commands).dropLast() {
      let options = options(name, commands)
      lines.append("    \(name))")
      lines.append("      case $before in")
      for option in options where !option.words.isEmpty {
        lines.append(
          "        \(option.flag)) COMPREPLY=($(compgen -W \"\(option.words.joined(separator: " "))\" -- \"$word\")); return;;"
        )
      }
      let paths = options.filter(\.isPath).map(\.flag)
      if !paths.isEmpty {
        lines.append("        \(paths.joined(separator: "|"))) COMPREPLY=($(compgen -f -- \"$word\")); return;;")
      }
      lines.append("      esac")
      let kinds = kinds(name, commands)
      if !kinds.isEmpty {
        lines.append("      if [ \"$COMP_CWORD\" -eq 2 ]; then")
        lines.append("        COMPREPLY=($(compgen -W \"\(kinds.joined(separator: " "))\" -- \"$word\")); return")
        lines.append("      fi")
      }
      lines.append("      COMPREPLY=($(compgen -W \"\(flags(options).joined(separator: " "))\" -- \"$word\"));;")
    }
    lines += [
      "    help) COMPREPLY=($(compgen -W \"\(names(commands).joined(separator: " "))\" -- \"$word\"));;",
      "  esac", "}", "complete -F _roost roost",
    ]
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: zsh

  private static func zsh(_ commands: [CommandSynopsis]) -> String {
    var lines = [
      "#compdef roost", "# zsh completion for roost: roost completion zsh > \"${fpath[1]}/_roost\"", "_roost() {",
      "  if (( CURRENT == 2 )); then", "    local -a commands=(",
    ]
    for name in names(commands) {
      let summary = commands.first { $0.words == name }.map { sentence($0.summary) } ?? ""
      lines.append("      '\(name):\(quoted(summary))'")
    }
    lines += [
      "    )", "    _describe command commands", "    return", "  fi", "  local name=${words[2]}", "  shift words",
      "  (( CURRENT-- ))", "  case $name in",
    ]
    for name in names(commands).dropLast() {
      lines.append("    \(name)) _arguments \\")
      let kinds = kinds(name, commands)
      if !kinds.isEmpty { lines.append("      '1:kind:(\(kinds.joined(separator: " ")))' \\") }
      for option in options(name, commands) {
        let help = quoted(option.help, for: "[]:")
        let value =
          option.placeholder.isEmpty
          ? ""
          : option.isPath
            ? ":file:_files" : ":\(quoted(option.placeholder, for: "[]:")):(\(option.words.joined(separator: " ")))"
        lines.append("      '\(option.flag)[\(help)]\(value)' \\")
        if option.isToggle { lines.append("      '--no-\(option.flag.dropFirst(2))[\(help)]' \\") }
      }
      lines.append("      '--help[print the options]';;")
    }
    lines += ["  esac", "}", "_roost \"$@\""]
    return lines.joined(separator: "\n") + "\n"
  }

  // MARK: fish

  private static func fish(_ commands: [CommandSynopsis]) -> String {
    var lines = [
      "# fish completion for roost: roost completion fish > ~/.config/fish/completions/roost.fish",
      "complete -c roost -f",
    ]
    for name in names(commands) {
      let summary = commands.first { $0.words == name }.map { sentence($0.summary) } ?? ""
      lines.append("complete -c roost -n __fish_use_subcommand -a \(name) -d '\(escaped(summary))'")
    }
    for name in names(commands).dropLast() {
      let condition = "-n '__fish_seen_subcommand_from \(name)'"
      for kind in kinds(name, commands) { lines.append("complete -c roost \(condition) -a \(kind)") }
      for option in options(name, commands) {
        let value =
          option.placeholder.isEmpty
          ? ""
          : option.isPath ? " -r -F" : option.words.isEmpty ? " -x" : " -x -a '\(option.words.joined(separator: " "))'"
        lines.append(
          "complete -c roost \(condition) -l \(option.flag.dropFirst(2))\(value) -d '\(escaped(option.help))'")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }

  /// Text within single quotes of zsh; `special` characters get a backslash.
  private static func quoted(_ text: String, for special: String = "") -> String {
    text.map { $0 == "'" ? "'\\''" : special.contains($0) ? "\\\($0)" : String($0) }.joined()
  }

  /// Text within single quotes of fish.
  private static func escaped(_ text: String) -> String {
    text.map { $0 == "'" || $0 == "\\" ? "\\\($0)" : String($0) }.joined()
  }
}
