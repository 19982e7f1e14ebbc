import JSONCore
import Settings

/// Which command a command line means.
public enum Invocation: Equatable, Sendable {
  /// The node itself, with the arguments behind `serve`; also when there are flags and no command.
  case serve([String])
  /// The load generator, with the arguments behind `bench`.
  case bench([String])
  /// The checks, with the arguments after `doctor`.
  case doctor([String])
  case client(ClientCommand, [String])
  case help
  case version
  /// No such command; the line says what was probably meant.
  case unknown(String)

  /// Reads the arguments behind the program's name.
  public init(_ arguments: [String]) {
    let rest = Array(arguments.dropFirst())
    switch arguments.first {
    // Nobody who types the name alone to see what it does wants a server: the node needs the command, or a flag.
    case nil: self = .help
    case "help":
      guard let name = rest.first, name != "help" else {
        self = .help
        return
      }
      self = Self.named(name, ["--help"])
    case "--help", "-h": self = .help
    case "--version": self = .version
    case let flag? where flag.hasPrefix("-"): self = .serve(arguments)
    case let name?: self = Self.named(name, rest)
    }
  }

  private static func named(_ name: String, _ arguments: [String]) -> Invocation {
    switch name {
    case "serve": return .serve(arguments)
    case "bench": return .bench(arguments)
    case "doctor": return .doctor(arguments)
    default:
      if let command = ClientCommand(rawValue: name) { return .client(command, arguments) }
      let names = ["serve", "bench", "doctor", "help"] + ClientCommand.allCases.map(\.rawValue)
      let hint = NearMiss.question(name, among: names, prefix: "roost ") ?? "roost help lists all commands"
      return .unknown("unknown command \"\(TerminalText.line(String(name.prefix(80))))\"; \(hint)")
    }
  }

  /// The list of all commands that `roost help` prints.
  public static var helpText: String {
    var entries = [("serve [OPTIONS]", "Runs a node (the default command when there are options).")]
    for command in ClientCommand.allCases {
      let firstSentence = command.summary.prefix { $0 != "." } + "."
      entries.append(("\(command.rawValue) \(command.usage)", String(firstSentence)))
    }
    entries.append(("doctor", "Checks what usually goes wrong, and says what to change."))
    entries.append(("bench KIND", "Measures a running server."))
    let width = entries.map(\.0.count).max() ?? 0
    let lines = entries.map { name, text in
      "  \(name)\(String(repeating: " ", count: width - name.count))  \(text)\n"
    }
    return "Usage: roost [COMMAND] [ARGUMENTS]\n\n" + lines.joined()
      + "\nroost COMMAND --help lists the options of a command.\n"
  }
}
