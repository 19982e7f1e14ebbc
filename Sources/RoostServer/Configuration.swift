import Server
import Settings

extension RoostNode {
  /// How a node is to be, and what of the program it asks: settings, handlers, observers. A value; nothing happens until
  /// ``RoostNode/start(_:)``.
  ///
  /// Handlers run as tasks of their own, never on the node's thread. A handler that throws, or that has not answered within
  /// ``handlerTimeout``, is as one that cannot decide: the client gets `unavailable`, and nothing happened.
  public struct Configuration: Sendable {
    /// The settings of `roost serve` by their names: `["port": "8080", "redis": "redis://10.0.0.1"]`. `roost serve --help`
    /// and docs/operations.md list them all. `config` names a settings file. `workers` and the environment are not used.
    public var settings: [String: String]
    /// Where the node's log goes.
    public var log = LogTarget.standardError

    /// Answers requests of clients, by the name of the action.
    public var requests: [String: RequestHandler] = [:]
    /// Decides who may connect, and names users. Unless `auth` is set, no names of clients are believed, and this handler
    /// must name the user; with `auth` set it decides about users whom the token names (`jwt`) or who name themselves
    /// (`none`).
    public var connect: ConnectHandler?
    /// The headers of a client's request that ``connect`` gets.
    public var connectHeaders = ["Authorization", "Cookie"]
    /// Decides who may join a room, or read its presence and history, after tokens and room rules have allowed it.
    public var join: JoinHandler?
    /// Decides about every message that a client publishes, and may replace what it says. Messages of one connection keep
    /// their order.
    public var message: MessageHandler?
    /// Forbids at once, on the node's thread, what clients do: returns the reason, or nil. It must return within
    /// microseconds: no file, no lock that is held for long, no other process.
    public var forbid: (@Sendable (Attempt, Client) -> String?)?
    /// Receives what happens at this node, one event after the other, in order.
    public var observe: (@Sendable (NodeEvent, RoostNode) async -> Void)?

    /// How long a handler may take. Beyond it the client gets `unavailable`, and the handler's task is cancelled.
    public var handlerTimeout = Duration.seconds(5)
    /// Handlers of one kind (requests, ``connect``, ``join``, ``message``) that run at a time. A client that would start one
    /// more gets `unavailable`. A handler that never returns keeps its place.
    public var handlersMax = 1_000

    /// Holds the defaults of all settings, and these.
    public init(settings: [String: String] = [:]) { self.settings = settings }
  }

  /// Answers a request with the payload of the response. To refuse, throw a ``RequestError``; any other error is `internal`
  /// for the client and a line of the log.
  public typealias RequestHandler = @Sendable (ClientRequest) async throws -> JSON
  /// Decides who may connect.
  public typealias ConnectHandler = @Sendable (ConnectAttempt) async throws -> ConnectAnswer
  /// Decides who may join the room.
  public typealias JoinHandler = @Sendable (_ room: String, Client) async throws -> JoinAnswer
  /// Decides about a message.
  public typealias MessageHandler = @Sendable (ClientMessage) async throws -> MessageAnswer

  /// Where a node's log goes.
  public enum LogTarget: Sendable {
    /// Lines on standard error, as `roost serve` writes them.
    case standardError
    /// Nowhere.
    case none
    /// To a closure, line by line, in a task of its own.
    case handler(@Sendable (LogLine) -> Void)
  }

  /// One line of a node's log. It never holds a token or a secret.
  public struct LogLine: Sendable {
    /// How serious it is: `debug`, `info`, `warn` or `error`. The setting `log-level` says from which level on.
    public let level: String
    /// The node's id.
    public let node: String
    /// What happened, always in the same words.
    public let message: String
    /// The details, by name.
    public let fields: [String: String]
  }
}

extension RoostNode.Configuration {
  /// The settings as the node takes them.
  func serverSettings() throws(NodeError) -> ServerSettings {
    do throws(SettingsError) {
      guard settings["help"] == nil, settings["version"] == nil, settings["workers"] == nil else {
        throw SettingsError(message: "help, version and workers are for the command line: leave them out")
      }
      let arguments = settings.sorted { $0.key < $1.key }.map { "--\($0.key)=\($0.value)" }
      guard case .serve(var parsed) = try ServerSettings.parse(arguments: arguments, environment: [:], coreCount: 1)
      else { throw SettingsError(message: "these settings start no node") }
      parsed.workers = 1
      try ServeCommand.check(parsed)
      if connect != nil {
        // The handler is what a backend is elsewhere.
        if settings["auth"] == nil { parsed.authentication = .webhook }
        if !parsed.webhooks.decisions.contains(.connect) { parsed.webhooks.decisions.append(.connect) }
        parsed.webhooks.headers += connectHeaders
      }
      return parsed
    } catch {
      throw NodeError(.invalidSettings, error.message)
    }
  }
}
