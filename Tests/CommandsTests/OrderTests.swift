import ClientCore
import Glibc
import JSONCore
import TestSupport
import Testing

@testable import Commands

/// The commands that act on a running node, and those that look again.
@Suite struct OrderTests {
  @Test("disconnects a user's connections, or one by its id, and says how many")
  func disconnect() throws {
    let node = try TestNode()
    let tails = try ["ann", "bob"].map { user in
      let tail = try RunningProgram(["tail", "lobby", "--user", user], environment: node.environment)
      try tail.poll("\(user) to join") { tail.errors.contains("joined at offset") }
      return tail
    }
    #expect(try node.roost("disconnect", "ann").output == "ann: closed 1 connection\n")
    let closed = try tails[0].waitForEnd()
    #expect(closed.errors.contains("4409") && closed.status == ExitStatus.noPermission)
    let listed = try JSONValue.parse(Array(try node.roost("user", "bob", "--json").output.utf8).span)
    let id = try #require(listed["connections"]?.asArray?.first?["id"]?.asString)
    #expect(try node.roost("disconnect", "--connection", id).output == "\(id): closed 1 connection\n")
    #expect(try tails[1].waitForEnd().errors.contains("4409"))
  }

  @Test("revokes a user's tokens for the time that was asked for")
  func revoke() throws {
    let node = try TestNode(["--auth", "jwt", "--jwt-secret", "s"])
    let minted = try Program.run(["token", "--user", "ann"], environment: ["ROOST_JWT_SECRET": "s"]).output
    var environment = node.environment
    environment["ROOST_TOKEN"] = String(minted.dropLast())
    let tail = try RunningProgram(["tail", "lobby"], environment: environment)
    try tail.poll("ann to join") { tail.errors.contains("joined at offset") }
    #expect(try node.roost("revoke", "ann", "--for", "2h").output == "ann: refused for 2h 0m\n")
    #expect(try tail.waitForEnd().status == ExitStatus.noPermission)
    let again = try Program.run(["tail", "lobby"], environment: environment)
    #expect(again.status == ExitStatus.noPermission)
    let json = try JSONValue.parse(Array(try node.roost("revoke", "--jti", "t1", "--json").output.utf8).span)
    #expect(json["token"]?.asString == "t1")
  }

  @Test("drains a node by its name, and waits until it has ended")
  func drain() throws {
    let node = try TestNode(["--node-id", "n1"])
    let result = try node.roost("drain", "n1", "--wait")
    #expect(result.output == "n1: draining\nn1: ended\n")
    #expect(try node.process.waitForEnd().status == 0)
  }

  @Test("ends with a status that says why an order was not carried out")
  func refused() throws {
    let node = try TestNode()
    let unknown = try node.roost("drain", "nobody")
    #expect(unknown.status == ExitStatus.refusedData)
    #expect(unknown.errors.contains("no such node, not_found (404); roost nodes lists them"), "\(unknown.errors)")
    let ended = try node.roost("disconnect", "--connection", "abc")
    #expect(ended.status == ExitStatus.refusedData)
    #expect(ended.errors.contains("no such connection") && ended.errors.contains("roost user NAME"), "\(ended.errors)")
    for result in [unknown, ended] { #expect(!result.errors.contains("--admin-port")) }
    // The public port of a node with an admin port of its own has no such path.
    let port = try FreePort.find()
    let apart = try TestNode(["--admin-port", "\(port)"])
    let elsewhere = try apart.roost("drain", "nobody")
    #expect(elsewhere.status == ExitStatus.unexpectedAnswer && elsewhere.errors.contains("--admin-port"))
    for arguments in [["disconnect"], ["disconnect", "ann", "--connection", "c"], ["revoke"]] {
      let result = try Program.run(arguments, environment: node.environment)
      #expect(result.status == ExitStatus.usage)
      #expect(result.errors.contains("expected either a USER or --"))
    }
    #expect(try node.roost("revoke", "ann", "--for", "1").errors.contains("has no unit"))
  }

  @Test("looks again with --watch, also after the node was away for a while")
  func watch() throws {
    var node = try TestNode()
    let port = node.port
    let watch = try RunningProgram(["nodes", "--watch", "100ms"], environment: node.environment)
    func looks() -> Int { watch.output.components(of: "1 node, ") }
    try watch.poll("two looks") { looks() >= 2 }
    node.process.signal(SIGKILL)
    _ = try node.process.waitForEnd()
    try watch.poll("the report of the node's absence") { watch.errors.contains("cannot reach") }
    let before = looks()
    node = try TestNode(port: port)
    try watch.poll("a look at the new node") { looks() > before }
    watch.signal(SIGTERM)
    _ = try watch.waitForEnd()
    for value in [["--watch=5"], ["--watch", "2h"], ["--watch=1ms"]] {
      let refused = try Program.run(["nodes"] + value, environment: node.environment)
      #expect(refused.status == ExitStatus.usage && refused.errors.contains("is no interval"), "\(refused)")
    }
    // What is no duration is the room.
    let lobby = try RunningProgram(["presence", "--watch", "lobby"], environment: node.environment)
    try lobby.poll("a look at the room") { lobby.output.contains("lobby: 0 users") }
    lobby.signal(SIGTERM)
    _ = try lobby.waitForEnd()
  }
}

extension String {
  /// How often a text stands in this one.
  fileprivate func components(of text: String) -> Int {
    var (count, rest) = (0, self[...])
    while let range = rest.firstRange(of: text) {
      count += 1
      rest = rest[range.upperBound...]
    }
    return count
  }
}
