import ClientCore
import Settings

/// `roost completion` and `roost man`: text that is made from the tables of options. They talk to no server.
enum ShellCommand {
  private struct Nothing: Sendable {}

  /// - Parameter synopses: those of all commands, in the order of the manual.
  static func run(
    _ command: ClientCommand, _ arguments: [String], synopses: [CommandSynopsis], version: String
  ) throws {
    let table = OptionTable<Nothing>(
      command: "roost \(command.rawValue)", usage: command.usage, summary: command.summary,
      positionals: command == .completion ? 1...1 : 0...0, options: [])
    switch try table.parse(arguments: arguments, environment: [:], defaults: Nothing()) {
    case .help(let text): Output.text(text)
    case .version: Output.text("roost \(version)\n")
    case .run(_, let positionals): try print(positionals.first, synopses, version)
    }
  }

  private static func print(
    _ name: String?, _ synopses: [CommandSynopsis], _ version: String
  ) throws(CommandFailure) {
    guard let name else { return Output.text(Manual.page(synopses, version: version)) }
    guard let shell = Completion.Shell(rawValue: name) else {
      let shells = Completion.Shell.allCases.map(\.rawValue).joined(separator: ", ")
      throw CommandFailure(ExitStatus.usage, "there is no completion for \"\(name)\"; expected one of \(shells)")
    }
    Output.text(Completion.script(for: shell, synopses))
  }
}
