import ClientCore
import Settings

/// A command that inspects a running cluster, acts on it or talks to it from a shell, or prints something about the program.
public enum ClientCommand: String, CaseIterable, Sendable {
  case presence
  case rooms
  case nodes
  case user
  case publish
  case broadcast
  case direct
  case tail
  case disconnect
  case revoke
  case drain
  case token
  case config
  case plan
  case completion
  case man

  /// Runs the command and returns the status to exit with, one of ``ExitStatus``.
  ///
  /// `arguments` begin behind the command's name. Writes to standard output and standard error. SIGPIPE must be ignored.
  ///
  /// - Parameter synopses: those of the commands that other modules have, in the order of the manual.
  public func run(
    arguments: [String], environment: [String: String], version: String, synopses: [CommandSynopsis] = []
  ) -> Int32 {
    do {
      switch self {
      case .token: return try TokenCommand.run(arguments, environment, version: version)
      case .config:
        try ConfigCommand.run(arguments, environment, version: version)
        return ExitStatus.success
      case .plan:
        try PlanCommand.run(arguments, version: version)
        return ExitStatus.success
      case .completion, .man:
        let all = synopses + ClientCommand.allCases.map(\.synopsis)
        try ShellCommand.run(self, arguments, synopses: all, version: version)
        return ExitStatus.success
      default: break
      }
      switch try table.parse(arguments: arguments, environment: environment, defaults: ClientSettings()) {
      case .help(let text): Output.text(text)
      case .version: Output.text("roost \(version)\n")
      case .run(let settings, let positionals): try run(settings, positionals, version: version)
      }
      return ExitStatus.success
    } catch let error as SettingsError {
      Output.note(error.message)
      return ExitStatus.usage
    } catch let failure as CommandFailure {
      Output.note(failure.message)
      return failure.status
    } catch {
      Output.note("\(error)")
      return ExitStatus.unavailable
    }
  }

  private func run(_ settings: ClientSettings, _ positionals: [String], version: String) throws {
    if let empty = positionals.firstIndex(of: "") {
      throw CommandFailure(ExitStatus.usage, "argument \(empty + 1) is empty; expected: roost \(rawValue) \(usage)")
    }
    if self == .tail { return try TailCommand.run(settings, rooms: positionals) }
    let client = try AdminClient(settings, version: version)
    let inspection = Inspection(client, settings)
    let interval = settings.watchMilliseconds
    switch self {
    case .presence: try Watch.run(everyMilliseconds: interval) { try inspection.presence(room: positionals[0]) }
    case .rooms: try Watch.run(everyMilliseconds: interval) { try inspection.rooms() }
    case .nodes: try Watch.run(everyMilliseconds: interval) { try inspection.nodes() }
    case .user: try Watch.run(everyMilliseconds: interval) { try inspection.user(positionals[0]) }
    case .disconnect: try Orders(client, settings).disconnect(user: positionals.first)
    case .revoke: try Orders(client, settings).revoke(user: positionals.first)
    case .drain: try Orders(client, settings).drain(node: positionals[0])
    case .publish: try Sending(client, settings).publish(room: positionals[0], json: positionals[1])
    case .broadcast: try Sending(client, settings).broadcast(json: positionals[0])
    case .direct: try Sending(client, settings).direct(user: positionals[0], json: positionals[1])
    case .tail, .token, .config, .plan, .completion, .man: break
    }
  }

  /// The environment variables that any of these commands reads.
  public static var environmentVariables: [String] {
    (ClientSettings.administration + ClientSettings.membership + ClientSettings.address)
      .filter(\.isInEnvironment).map(\.variable)
  }

  /// What a command line of this command may have.
  var synopsis: CommandSynopsis {
    switch self {
    case .token: TokenCommand.table.synopsis(defaults: TokenCommand.Claims())
    case .config: ConfigCommand.synopsis
    case .plan: PlanCommand.table.synopsis(defaults: PlanCommand.Request())
    case .completion, .man:
      CommandSynopsis(words: rawValue, usage: usage, summary: summary, options: [], footer: "")
    default: table.synopsis(defaults: ClientSettings())
    }
  }

  private var table: OptionTable<ClientSettings> {
    let options =
      switch self {
      case .rooms: ClientSettings.listing + ClientSettings.watching + ClientSettings.administration
      case .presence, .nodes, .user: ClientSettings.watching + ClientSettings.administration
      case .disconnect: ClientSettings.disconnecting + ClientSettings.administration
      case .revoke: ClientSettings.revoking + ClientSettings.administration
      case .drain: ClientSettings.draining + ClientSettings.administration
      case .publish, .broadcast, .direct: ClientSettings.sending + ClientSettings.administration
      case .tail: ClientSettings.membership + ClientSettings.address + ClientSettings.lines
      default: ClientSettings.administration
      }
    return OptionTable(
      command: "roost \(rawValue)", usage: usage.isEmpty ? "[OPTIONS]" : usage + " [OPTIONS]", summary: summary,
      positionals: positionals,
      options: options)
  }

  private var positionals: ClosedRange<Int> {
    switch self {
    case .rooms, .nodes, .token, .config, .plan, .man: 0...0
    case .disconnect, .revoke: 0...1
    case .presence, .user, .broadcast, .drain, .completion: 1...1
    case .publish, .direct: 2...2
    // A connection may join so many rooms by default.
    case .tail: 1...256
    }
  }

  /// The arguments as the help shows them.
  var usage: String {
    switch self {
    case .presence: "ROOM"
    case .rooms, .nodes, .plan, .man: ""
    case .disconnect, .revoke: "USER"
    case .drain: "NODE"
    case .config: "[--json]"
    case .completion: "bash|zsh|fish"
    case .user: "NAME"
    case .publish: "ROOM JSON"
    case .broadcast: "JSON"
    case .direct: "USER JSON"
    case .tail: "ROOM..."
    case .token: "--user NAME"
    }
  }

  /// What the command does, for the help: one sentence first.
  var summary: String {
    switch self {
    case .presence: "Lists the users and connections in a room, on all nodes."
    case .rooms: "Lists the rooms that have users, with the number of users in each."
    case .nodes: "Lists the nodes of the cluster."
    case .user: "Lists the connections of a user, on all nodes."
    case .publish: "Publishes the members of a JSON object as a message to a room."
    case .broadcast: "Sends the members of a JSON object to every connection of the cluster."
    case .direct: "Sends the members of a JSON object to every connection of a user."
    case .tail:
      "Joins rooms and prints every message as one line of JSON. "
        + "Resumes where it was when the connection breaks."
    case .disconnect: "Closes all connections of a user, on all nodes, with 4409: they do not come back by themselves."
    case .revoke: "Refuses the tokens that a user has so far, and closes the user's connections."
    case .drain: "Drains a node: its clients are asked to reconnect, each at its own moment, and the node ends."
    case .config: "Prints every setting with its value and where the value came from; secrets as ***."
    case .plan: "Estimates the machines, Redis masters, memory and network that a load needs, and what runs out first."
    case .completion: "Prints a script that completes command lines of roost in a shell."
    case .man: "Prints the manual page, in the language of man."
    case .token: "Prints a JSON Web Token signed with HS256, for trying things out."
    }
  }
}
