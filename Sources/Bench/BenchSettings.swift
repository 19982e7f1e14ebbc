import ClientCore
import Settings

/// What a run of the load generator was asked to do.
struct BenchSettings: Sendable {
  var url = ServerURL.local.text
  /// Publishers connect to the first, members to the last.
  var urls: [String] = []
  var dialect = Dialect.roost
  var transport = BenchTransport.websocket
  /// What was asked for; what is meant by it when nothing was, `resolve` says.
  var connectionsAsked: Int?
  var roomsAsked: Int?
  var membersAsked: Int?
  /// Bytes of a published message. A message that cannot be so small is as small as it can be.
  var messageBytes = 128
  /// Messages a second over all publishers; 0: as fast as the window lets them go.
  var rate = 0
  var seconds = 5
  var warmUpMilliseconds = 1000
  /// Messages in flight: in all for rooms, per connection for echo.
  var window = 1
  /// Handshakes under way at a time while connections are opened.
  var concurrency = 64
  /// Processes whose CPU time and memory are the server's.
  var processes: [String] = []
  var port = 0
  /// Whether permessage-deflate is asked for.
  var isCompressed = false
  var isJSON = false

  /// Where publishers and members connect, once the options were read.
  private(set) var publisherURL = Destination.local
  private(set) var memberURL = Destination.local
  /// Connections to open, publishers aside.
  private(set) var connections = 0
  private(set) var rooms = 1
  private(set) var membersPerRoom = 1
  /// Whether Socket.IO clients are in a namespace for each room, and send to everyone in it, as most of them do; otherwise they
  /// join rooms of the main namespace.
  private(set) var usesNamespaces = false

  /// Looks up the names of the hosts; waits for the answers.
  mutating func lookUpHosts() throws(CommandFailure) {
    try publisherURL.lookUp()
    try memberURL.lookUp()
  }

  /// Works out what the options mean together, and parses the URLs.
  mutating func resolve(_ scenario: Scenario) throws(SettingsError) {
    guard scenario != .raw else { return }
    try resolveTransport(scenario)
    let texts = urls.isEmpty ? [url] : urls
    guard let first = texts.first, let last = texts.last, texts.count <= 2 else {
      throw SettingsError(message: "--urls: \(texts.count) addresses; expected two, the publishers' and the members'")
    }
    publisherURL = try Destination(parsing: first, scenario, dialect)
    memberURL = try Destination(parsing: last, scenario, dialect)
    rooms = roomsAsked ?? (scenario == .rooms ? 100 : 1)
    let connectionsByDefault =
      switch scenario {
      case .rooms: rooms * 5
      case .fanout, .idle: 1000
      case .echo: 100
      case .connect, .raw: 64
      }
    connections = membersAsked.map { $0 * rooms } ?? connectionsAsked ?? connectionsByDefault
    membersPerRoom = connections / rooms
    guard membersPerRoom >= 1, connections <= 1_000_000 else {
      throw SettingsError(message: "\(connections) connections for \(rooms) rooms; expected 1 a room to 1000000 in all")
    }
    if rooms * window > 1 << 24 {
      throw SettingsError(message: "--rooms times --window is over 16777216; expected less of one of them")
    }
    if scenario == .connect { concurrency = connections }
  }

  private mutating func resolveTransport(_ scenario: Scenario) throws(SettingsError) {
    if transport == .socketio {
      guard dialect == .roost || dialect == .socketio else {
        throw SettingsError(message: "--transport socketio: servers other than roost are spoken to by --dialect alone")
      }
      dialect = .socketio
    }
    usesNamespaces = dialect == .socketio && scenario == .fanout
    if dialect == .socketio, scenario == .echo {
      throw SettingsError(
        message: "--dialect socketio: echo measures WebSockets; expected fanout, rooms, idle or connect")
    }
  }
}

/// How clients of Roost connect.
enum BenchTransport: String, CaseIterable, Sendable {
  case websocket, socketio
}

/// What is measured.
enum Scenario: String, CaseIterable, Sendable {
  case echo, fanout, rooms, idle, connect, raw

  var summary: String {
    switch self {
    case .echo: "Measures round trips: every connection keeps --window messages in flight to a server that echoes."
    case .fanout:
      """
      Measures one room: one publisher, --connections members. A message is in flight until the slowest member has it.
      """
    case .rooms: "Measures many small rooms: --rooms rooms of --members members, each with a publisher of its own."
    case .idle: "Measures the server's memory for each open connection that joined two rooms and says nothing."
    case .connect: "Measures handshakes: connect, upgrade, the first message, close."
    case .raw:
      """
      Serves the limit: a server that speaks just enough WebSocket to be measured by fanout --dialect plain, and whose \
      fan-out is one loop of sends. Runs until SIGTERM.
      """
    }
  }
}

extension BenchSettings {
  /// Lists the options of a scenario. All but `raw` take the same, so that one command line serves several.
  static func table(_ scenario: Scenario) -> OptionTable<BenchSettings> {
    OptionTable(
      command: "roost bench \(scenario.rawValue)", usage: "[OPTIONS]", summary: scenario.summary,
      // What a measurement ran with stands on its command line, but for where, which all commands share.
      options: (scenario == .raw ? rawOptions : Option.group("Whom", whom) + Option.group("What", what))
        .map { $0.from($0.key == "url" ? .argumentsAndEnvironment : .argumentsOnly) },
      footer: scenario == .raw
        ? "" : "Ends with status 1 when a message was lost, came twice or out of order; otherwise as all commands do.")
  }

  private static var rawOptions: [Option<BenchSettings>] {
    [.integer("port", \.port, 0...65_535, "port to listen on at 127.0.0.1; 0 lets the system choose")]
  }

  private static var whom: [Option<BenchSettings>] {
    [
      .text(
        "url", \.url, "URL", "where to connect, http(s):// or ws(s):// (environment: ROOST_URL)",
        problem: ServerURL.problem),
      .list(
        "urls", \.urls, "URL,URL", "publishers connect to the first, members to the second",
        whenUnset: "--url for both", problem: ServerURL.problem),
      .choice("dialect", \.dialect, "how the server is spoken to"),
      .choice("transport", \.transport, "how clients of roost connect: socketio is --dialect socketio"),
      .list("pid", \.processes, "PID,…", "processes of the server, for its CPU time and memory") { text in
        Quantity.integer(text).map { $0 > 0 } == true ? nil : "is not a process id"
      },
    ]
  }

  private static var what: [Option<BenchSettings>] {
    [
      integer(
        "connections", \.connectionsAsked, "1000; echo 100, rooms 5 a room, connect 64",
        "connections at a time, publishers aside"),
      integer("rooms", \.roomsAsked, "1; rooms 100", "rooms of fanout and rooms, each with a publisher of its own"),
      integer("members", \.membersAsked, "connections / rooms", "members of each room beside its publisher"),
      .size("size", \.messageBytes, 32...16 << 20, "bytes of a message"),
      .integer("rate", \.rate, 0...10_000_000, "messages a second, timed from when they were due; 0: by --window"),
      .integer("window", \.window, 1...4096, "messages in flight (echo: of each connection)"),
      .duration("warmUp", \.warmUpMilliseconds, 0...600_000, "time before measuring begins, where messages flow"),
      .integer("seconds", \.seconds, 1...3600, "seconds that are measured"),
      .integer("concurrency", \.concurrency, 1...4096, "handshakes under way at a time while connections are opened"),
      .flag("deflate", \.isCompressed, "ask for permessage-deflate; a server that declines ends the run"),
      .flag("json", \.isJSON, "print one JSON object instead of a table"),
    ]
  }

  private static func integer(
    _ key: String, _ path: WritableKeyPath<BenchSettings, Int?> & Sendable, _ whenUnset: String, _ help: String
  ) -> Option<BenchSettings> {
    .integer(key, path, 1...1_000_000, whenUnset: whenUnset, help)
  }
}
