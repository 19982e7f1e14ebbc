import ClientCore
import Glibc
import JSONCore
import Testing

@testable import Commands

/// The commands against a real node.
@Suite struct CommandTests {
  @Test("lists rooms, members, nodes and a user's connections, for people and as the server's JSON")
  func inspection() throws {
    let node = try TestNode()
    let tail = try Tail(node, ["tail", "lobby/1", "--user", "ann"])
    let presence = try node.roost("presence", "lobby/1")
    #expect(presence.status == 0)
    #expect(presence.output.hasPrefix("USER  CONNECTION"))
    #expect(presence.output.contains("ann   "))
    #expect(presence.output.hasSuffix("lobby/1: 1 user, 1 connection\n"))
    let json = try parsed(try node.roost("presence", "lobby/1", "--json"))
    #expect(json["members"]?.asArray?.first?["user"]?.asString == "ann")
    #expect(try node.roost("rooms").output == "ROOM     USERS\nlobby/1      1\n1 room\n")
    #expect(try node.roost("rooms", "--prefix", "x").output == "0 rooms\n")
    #expect(try node.roost("nodes").output.hasSuffix("1 node, 1 connection\n"))
    #expect(try node.roost("user", "ann").output.hasSuffix("ann: 1 connection\n"))
    #expect(try node.roost("user", "nobody").output == "nobody: 0 connections\n")
    withExtendedLifetime(tail) {}
  }

  @Test("follows the cursor of the listing to its end, and stops at --limit")
  func pages() throws {
    let node = try TestNode(["--max-rooms", "2000"])
    // More than one page holds, over several connections of at most 256 rooms each.
    let tails = try (0..<5).map { part in
      try Tail(node, ["tail"] + (0..<210).map { "r\(part)-\($0)" })
    }
    #expect(try node.roost("rooms").output.hasSuffix("1050 rooms\n"))
    #expect(try node.roost("rooms", "--limit", "1010").output.hasSuffix("1010 rooms\n"))
    #expect(try node.roost("rooms", "--prefix", "r3-", "--limit", "7").output.hasSuffix("7 rooms\n"))
    #expect(try node.roost("rooms", "--json").output.split(separator: "\n").count == 2)
    withExtendedLifetime(tails) {}
  }

  @Test("publishes, broadcasts and sends to a user, and tail prints each message as one line")
  func sending() throws {
    let node = try TestNode()
    let tail = try Tail(node, ["tail", "lobby", "--user", "ann"])
    let publish = try parsed(
      try node.roost("publish", "lobby", #"{"text":"hällo","n":10000000000000000000000}"#, "--json"))
    #expect(publish["offset"]?.asInt == 1)
    #expect(try node.roost("publish", "lobby", "{}").output.hasPrefix("lobby: offset 2, epoch "))
    #expect(try node.roost("direct", "ann", #"{"a":1}"#).output == "ann: delivered to 1 connection\n")
    #expect(try node.roost("direct", "bob", #"{"a":1}"#).output == "bob: delivered to 0 connections\n")
    #expect(try node.roost("broadcast", #"{"b":1}"#).output == "sent to every connection\n")
    #expect(try node.roost("publish", "lobby", "{}", "--user", "bot").status == ExitStatus.success)
    let lines = try tail.lines(5)
    #expect(lines[4].contains(#""user":"bot""#) && lines[0].contains(#""user":null"#))
    #expect(lines[0].contains(#""offset":1"#))
    #expect(lines[0].hasSuffix(#""text":"hällo","n":10000000000000000000000}"#))
    #expect(lines[2].hasPrefix(#"{"type":"direct""#))
    #expect(lines[3].hasPrefix(#"{"type":"broadcast""#))
    tail.process.signal(SIGINT)
    #expect(try tail.process.waitForEnd().status == ExitStatus.success)
  }

  @Test("tail comes back to a node that was restarted and reports what is lost")
  func reconnects() throws {
    var node = try TestNode()
    let port = node.port
    let tail = try Tail(node, ["tail", "lobby"])
    #expect(try node.roost("publish", "lobby", #"{"n":1}"#).status == 0)
    _ = try tail.lines(1)
    node.process.signal(SIGKILL)
    _ = try node.process.waitForEnd()
    node = try TestNode(port: port)
    // The embedded broker forgets with its process, so the room has a new epoch.
    try tail.process.poll("the report of the gap") {
      tail.process.errors.contains("lobby: gap: history no longer reaches back to offset 1")
    }
    #expect(try node.roost("publish", "lobby", #"{"n":2}"#).status == 0)
    #expect(try tail.lines(2)[1].hasSuffix(#""n":2}"#))
  }

  @Test("tail that slept through messages prints them all, in order and once, when it wakes")
  func resumes() throws {
    let node = try TestNode(["--ping-interval", "1s", "--ping-timeout", "1s"])
    let tail = try Tail(node, ["tail", "lobby"])
    #expect(try node.roost("publish", "lobby", #"{"n":1}"#).status == 0)
    _ = try tail.lines(1)
    tail.process.signal(SIGSTOP)
    try node.process.poll("the node to drop the silent connection") {
      try node.roost("presence", "lobby").output == "lobby: 0 users, 0 connections\n"
    }
    for n in 2...4 { #expect(try node.roost("publish", "lobby", "{\"n\":\(n)}").status == 0) }
    tail.process.signal(SIGCONT)
    let lines = try tail.lines(4)
    #expect(lines.map { $0.suffix(6) } == (1...4).map { "\"n\":\($0)}" })
    #expect(tail.process.errors.contains("lobby: resumed after offset 1"))
    #expect(!tail.process.errors.contains("gap"))
  }

  @Test("ends with 69 and names the URL when no server answers")
  func unreachable() throws {
    let environment = ["ROOST_URL": "http://127.0.0.1:1"]
    for arguments in [["nodes"], ["tail", "lobby"], ["publish", "lobby", "{}"]] {
      let result = try Program.run(arguments, environment: environment)
      #expect(result.status == ExitStatus.unavailable)
      let tried = arguments[0] == "tail" ? "ws://127.0.0.1:1/ws" : "http://127.0.0.1:1"
      #expect(result.errors.contains("cannot reach \(tried): "))
      #expect(result.errors.contains("ROOST_URL"))
      #expect(result.output.isEmpty)
    }
  }

  @Test("ends with 77 and names the flag when the admin token is missing or wrong (RFC 9110 section 15.5.2)")
  func unauthorized() throws {
    let node = try TestNode()
    for token in [[], ["--admin-token", "guess"]] {
      let result = try Program.run(["nodes", "--url", node.url] + token)
      #expect(result.status == ExitStatus.noPermission)
      #expect(result.errors.contains("--admin-token"))
      #expect(!result.errors.contains("guess"))
    }
  }

  @Test("ends with 65 and the server's words when the server refuses what it was sent")
  func refused() throws {
    let node = try TestNode()
    let result = try node.roost("presence", "a\tb")
    #expect(result.status == ExitStatus.refusedData)
    #expect(result.errors.contains("bad_room (400)"))
    let tail = try node.roost("tail", String(repeating: "x", count: 201))
    #expect(tail.status == ExitStatus.refusedData)
    #expect(tail.errors.contains("bad_room"))
    #expect(tail.errors.contains("/ws refused the room xxx"))
  }

  @Test("ends with 76 after a 404, whichever command asked")
  func nothingThere() throws {
    let node = try TestNode()
    for arguments in [["nodes"], ["tail", "lobby"], ["publish", "lobby", "{}"]] {
      let result = try Program.run(arguments + ["--url", "\(node.url)/nowhere"])
      #expect(result.status == ExitStatus.unexpectedAnswer, "\(arguments)")
      #expect(result.errors.contains("404"))
    }
  }

  @Test(
    "ends with 64 before anything is sent when the command line is wrong",
    arguments: [
      (["publish", "lobby", "{\"a\":}"], "at byte 5"), (["publish", "lobby", "[1]"], "one object"),
      (["publish", "lobby", #"{"user":"ann"}"#], "to publish as a user, name it by --user"),
      (["direct", "ann", #"{"type":"x"}"#], "data has a member \"type\""),
      (["publish", "lobby"], "expected: roost publish ROOM JSON"), (["presence"], "expected: roost presence ROOM"),
      (["presence", ""], "argument 1 is empty"), (["rooms", "--limt", "3"], "did you mean --limit?"),
      (["rooms", "--limit", "0"], "--limit"), (["nodes", "--timeout", "5"], "has no unit"),
      (["nodes", "--url", "localhost"], "is not an address"),
      (["tail", "lobby", "--url", "ftp://h"], "has an unknown scheme"),
      (["bench", "idle", "--url", "h:1"], "no scheme"),
      (["nodes", "--url", "http://me:hunter2@h"], "tokens"),
      (["presense", "lobby"], "did you mean roost presence?"), (["token"], "--user"),
      (["tail", "lobby", "--user", "a\u{85}"], "is no user's name; expected 1 to 200 bytes"),
      (["token", "--user", "a\u{85}"], "is no user's name; expected 1 to 200 bytes"),
      (["token", "--user", "ann"], "--jwt-secret"), (["token", "--user", "ann", "--info", "{"], "is not JSON"),
    ] as [([String], String)])
  func usage(_ arguments: [String], _ expected: String) throws {
    let result = try Program.run(arguments)
    #expect(result.status == ExitStatus.usage)
    #expect(result.errors.contains(expected), "\(result.errors)")
    #expect(result.errors.split(separator: "\n").count == 1)
    #expect(!result.errors.contains("hunter2"))
    #expect(result.output.isEmpty)
  }

  @Test("prints the help of every command to standard output", arguments: ClientCommand.allCases)
  func help(_ command: ClientCommand) throws {
    let result = try Program.run([command.rawValue, "--help"])
    #expect(result.status == ExitStatus.success)
    #expect(result.output.hasPrefix("Usage: roost \(command.rawValue) "))
    #expect(result.errors.isEmpty)
  }

  @Test("reads the token's secret from the environment and prints the token alone")
  func token() throws {
    let result = try Program.run(
      ["token", "--user", "ann", "--rooms", "chat:*,news", "--ttl", "1h"], environment: ["ROOST_JWT_SECRET": "s"])
    #expect(result.status == ExitStatus.success)
    #expect(result.output.split(separator: ".").count == 3)
    #expect(result.output.split(separator: "\n").count == 1)
  }

  private func parsed(_ result: Program.Result) throws -> JSONValue {
    try JSONValue.parse(Array(result.output.utf8).span)
  }
}

/// A `roost tail` that has joined all its rooms.
private struct Tail {
  let process: RunningProgram

  init(_ node: TestNode, _ arguments: [String]) throws {
    let process = try RunningProgram(arguments, environment: node.environment)
    let rooms = arguments.dropFirst().prefix { !$0.hasPrefix("--") }
    try process.poll("\(rooms.count) rooms to be joined") {
      process.errors.split(separator: "\n").count { $0.contains("joined at offset") } == rooms.count
    }
    self.process = process
  }

  /// Waits for so many lines and returns them all.
  func lines(_ count: Int) throws -> [Substring] {
    var lines: [Substring] = []
    try process.poll("\(count) lines") {
      lines = process.output.split(separator: "\n")
      return lines.count >= count && process.output.hasSuffix("\n")
    }
    return lines
  }
}
