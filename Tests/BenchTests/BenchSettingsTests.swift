import ClientCore
import Settings
import Testing

@testable import Bench

@Suite("The command line of roost bench")
struct BenchSettingsTests {
  private func resolved(_ scenario: Scenario, _ arguments: [String]) throws -> BenchSettings {
    let parsed = try BenchSettings.table(scenario).parse(
      arguments: arguments, environment: [:], defaults: BenchSettings())
    guard case .run(var settings, _) = parsed else { throw SettingsError(message: "no run") }
    try settings.resolve(scenario)
    return settings
  }

  @Test("one URL serves publishers and members")
  func oneURL() throws {
    let settings = try resolved(.fanout, ["--url", "ws://127.0.0.1:81/ws?user=a"])
    #expect(settings.publisherURL.target == "/ws?user=a")
    #expect(settings.memberURL.url.authority == "127.0.0.1:81")
    #expect(settings.connections == 1000)
  }

  @Test("of two URLs the first is the publishers', the second the members'")
  func twoURLs() throws {
    let settings = try resolved(.rooms, ["--urls", "ws://127.0.0.1:81/pub,ws://[::1]:82"])
    #expect(settings.publisherURL.target == "/pub")
    #expect(settings.memberURL.address?.port == 82)
    #expect(settings.memberURL.target == "/ws")
  }

  @Test(
    "takes every form of URL, and adds Roost's own path where none is given",
    arguments: [
      ("http://127.0.0.1:81", "/ws", "/echo"), ("ws://127.0.0.1:81/", "/ws", "/echo"),
      ("ws://127.0.0.1:81/ws", "/ws", "/echo"), ("wss://[::1]:81/echo", "/ws", "/echo"),
      ("https://127.0.0.1/chat", "/chat/ws", "/chat/echo"), ("ws://127.0.0.1/sub", "/sub", "/sub"),
    ])
  func forms(url: String, socket: String, echo: String) throws {
    #expect(try resolved(.fanout, ["--url", url]).memberURL.path == socket)
    #expect(try resolved(.echo, ["--url", url]).memberURL.path == echo)
    // Other servers are asked for what was written.
    let other = try resolved(.fanout, ["--url", url, "--dialect", "plain"]).memberURL
    #expect(other.path == (try ServerURL(parsing: url).path))
  }

  @Test("takes ROOST_URL, and the node at the default port without it")
  func environment() throws {
    func url(_ environment: [String: String]) throws -> String {
      let parsed = try BenchSettings.table(.rooms).parse(
        arguments: [], environment: environment, defaults: BenchSettings())
      guard case .run(var settings, _) = parsed else { throw SettingsError(message: "no run") }
      try settings.resolve(.rooms)
      return settings.memberURL.tried
    }
    #expect(try url([:]) == "ws://127.0.0.1:8080/ws")
    #expect(try url(["ROOST_URL": "https://h.example", "ROOST_SECONDS": "x"]) == "wss://h.example/ws")
  }

  @Test("looks up a host's name once, and says so when it has no address")
  func names() throws {
    var settings = try resolved(.fanout, ["--url", "ws://localhost:81"])
    #expect(settings.memberURL.address?.host == "127.0.0.1")
    settings = try resolved(.fanout, ["--url", "ws://nowhere.invalid"])
    let failure = #expect(throws: CommandFailure.self) { try settings.lookUpHosts() }
    #expect(failure?.status == ExitStatus.unavailable)
    #expect(failure?.message.contains("ws://nowhere.invalid/ws") == true)
  }

  @Test(
    "what cannot be measured is refused",
    arguments: [
      ["--url", "127.0.0.1"], ["--url", "ftp://a.example/"], ["--url", "ws://127.0.0.1:99999/"],
      ["--urls", "ws://127.0.0.1,ws://127.0.0.1,ws://127.0.0.1"],
      ["--url", "ws://127.0.0.1", "--rooms", "5", "--connections", "4"],
      ["--url", "ws://127.0.0.1", "--pid", "x"], ["--transport", "socketio", "--dialect", "plain"],
    ])
  func refused(arguments: [String]) {
    #expect(throws: SettingsError.self) { try resolved(.fanout, arguments) }
  }

  @Test(
    "every scenario takes connections, rooms, size, rate and seconds",
    arguments: [Scenario.echo, .fanout, .rooms, .idle, .connect])
  func common(scenario: Scenario) throws {
    let arguments = ["--connections", "12", "--rooms", "4", "--size", "64", "--rate", "9", "--seconds", "2"]
    let settings = try resolved(scenario, ["--url", "ws://127.0.0.1"] + arguments)
    #expect(settings.connections == 12)
    #expect(settings.membersPerRoom == 3)
  }

  @Test("Socket.IO is a transport of roost's, which echo does not measure")
  func transports() throws {
    #expect(try resolved(.rooms, ["--transport", "socketio"]).dialect == .socketio)
    #expect(try resolved(.idle, ["--transport", "socketio", "--dialect", "socketio"]).dialect == .socketio)
    #expect(try resolved(.rooms, []).dialect == .roost)
    #expect(throws: SettingsError.self) { try resolved(.echo, ["--transport", "socketio"]) }
  }

  @Test("rooms have five members unless said otherwise")
  func rooms() throws {
    #expect(try resolved(.rooms, ["--url", "ws://127.0.0.1", "--rooms", "7"]).connections == 35)
    #expect(try resolved(.rooms, ["--url", "ws://127.0.0.1", "--rooms", "7", "--members", "2"]).connections == 14)
  }

  @Test(
    "each dialect names room and user its own way",
    arguments: [
      (Dialect.roost, "ws://127.0.0.1/ws", "/ws?user=u"), (.roost, "ws://127.0.0.1/ws?user=me", "/ws?user=me"),
      (.socketio, "ws://127.0.0.1/ws?token=t", "/socket.io/?token=t&EIO=4&transport=websocket"),
      (.socketio, "http://127.0.0.1", "/socket.io/?EIO=4&transport=websocket"),
      (.nchan, "ws://127.0.0.1/sub?a=b", "/sub?a=b&channel=r"), (.plain, "ws://127.0.0.1/x?y", "/x?y"),
    ])
  func targets(dialect: Dialect, url: String, target: String) throws {
    let destination = try Destination(parsing: url, .fanout, dialect)
    #expect(dialect.target(destination, room: "r", user: "u") == target)
  }
}
