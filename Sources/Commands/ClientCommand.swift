import ClientCore
import Settings

/// A command that inspects a running cluster or talks to it from a shell.
public enum ClientCommand: String, CaseIterable, Sendable {
  case presence
  case rooms
  case nodes
  case user
  case publish
  case broadcast
  case direct
  case tail
  case token

  /// Runs the command and returns the status to exit with, one of ``ExitStatus``.
  ///
  /// `arguments` begin behind the command's name. Writes to standard output and standard error. SIGPIPE must be ignored.
  public func run(arguments: [String], environment: [String: String], version: String) -> Int32 {
    do {
      if self == .token { return try TokenCommand.run(arguments, environment, version: version) }
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
    switch self {
    case .presence: try Inspection(client, settings).presence(room: positionals[0])
    case .rooms: try Inspection(client, settings).rooms()
    case .nodes: try Inspection(client, settings).nodes()
    case .user: try Inspection(client, settings).user(positionals[0])
    case .publish: try Sending(client, settings).publish(room: positionals[0], json: positionals[1])
    case .broadcast: try Sending(client, settings).broadcast(json: positionals[0])
    case .direct: try Sending(client, settings).direct(user: positionals[0], json: positionals[1])
    case .tail, .token: break
    }
  }

  /// The environment variables that any of these commands reads.
  public static var environmentVariables: [String] {
    (ClientSettings.administration + ClientSettings.membership + ClientSettings.address)
      .filter(\.isInEnvironment).map(\.variable)
  }

  private var table: OptionTable<ClientSettings> {
    let options =
      switch self {
      case .rooms: ClientSettings.listing + ClientSettings.administration
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
    case .rooms, .nodes, .token: 0...0
    case .presence, .user, .broadcast: 1...1
    case .publish, .direct: 2...2
    // A connection may join so many rooms by default.
    case .tail: 1...256
    }
  }

  /// The arguments as the help shows them.
  var usage: String {
    switch self {
    case .presence: "ROOM"
    case .rooms, .nodes: ""
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
    case .token: "Prints a JSON Web Token signed with HS256, for trying things out."
    }
  }
}
