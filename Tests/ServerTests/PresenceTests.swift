import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("One node, presence")
struct PresenceTests {
  private static let secret = "a secret of 32 bytes, for testing"

  private func withTokens(_ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(["--auth", "jwt", "--jwt-secret", PresenceTests.secret] + flags)
  }

  private func connect(_ user: String, _ flags: [String], to server: RoostProcess) throws -> WebSocketClient {
    let result = try RoostProcess.run(["token", "--user", user, "--jwt-secret", PresenceTests.secret] + flags)
    guard result.end == .exited(0) else { throw TestFailure("roost token: \(result)") }
    let client = try WebSocketClient(port: server.port, target: "/ws?token=\(result.output.dropLast())")
    try client.expect("welcome")
    return client
  }

  /// The users that an answer to `presence` names.
  private func users(_ answer: Received) -> [String] {
    answer["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
  }

  private func presence(_ client: WebSocketClient, _ room: String, _ more: String = "") throws -> Received {
    let answer = try client.ask(#""type":"presence","room":"\#(room)"\#(more)"#)
    guard answer.type == "presence" else { throw TestFailure("no presence: \(answer)") }
    return answer
  }

  /// Collects what a client gets until `condition` holds of all of it.
  private func collect(
    _ client: WebSocketClient, _ what: String, within seconds: Double = 10, until condition: ([Received]) -> Bool
  ) throws -> [Received] {
    var received: [Received] = []
    try eventually(what, within: seconds) {
      received += try client.settle()
      return condition(received)
    }
    return received
  }

  // MARK: State

  @Test("tells every member, the user's own sessions included, what a user says about itself; null takes it back")
  func state() throws {
    let server = try RoostProcess()
    let (ann, tablet, bob) = (try server.connect("ann"), try server.connect("ann"), try server.connect("bob"))
    for client in [ann, tablet, bob] { try client.join("r") }
    for client in [ann, tablet, bob] { _ = try client.settle() }
    try ann.send(#"{"type":"state","id":"s","room":"r","state":{"away": true,"n":12345678901234567890}}"#)
    #expect(try ann.expect("ack").text == #"{"type":"ack","id":"s","room":"r"}"#)
    let told = #"{"type":"user_state","room":"r","user":"ann","state":{"away": true,"n":12345678901234567890}}"#
    for client in [ann, tablet, bob] { #expect(try client.expect("user_state").text == told) }
    #expect(try presence(bob, "r").text.contains(#""state":{"away": true,"n":12345678901234567890}"#))
    #expect(try server.inspect("presence/r")["members"]?.asArray?[0]["state"]?["away"]?.asBool == true)
    // The newest holds, whichever session sent it, and needs no answer.
    try tablet.send(#"{"type":"state","room":"r","state":"here"}"#)
    #expect(try bob.expect("user_state").string("state") == "here")
    #expect(try ann.ask(#""type":"state","room":"r","state":null"#).type == "ack")
    #expect(try bob.expect("user_state").text == #"{"type":"user_state","room":"r","user":"ann","state":null}"#)
    #expect(try presence(bob, "r").text.contains("state") == false)
    // What a user said goes with its last session.
    try ann.ask(#""type":"state","room":"r","state":1"#)
    for client in [ann, tablet] { #expect(try client.ask(#""type":"leave","room":"r""#).type == "left") }
    try ann.join("r")
    #expect(try presence(bob, "r").text.contains("state") == false)
    // It is no message: nothing of it is in the history, and no offset was used.
    #expect(try ann.publish("r", #""n":1"#) == 1)
  }

  @Test("refuses a state with the code that names why, and tells nobody")
  func refusedStates() throws {
    let server = try SettingsFileOnDisk.node(
      rooms: #"[{"match":"audience","presence":false},{"match":"notices","publish":false}]"#)
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    for room in ["r", "audience", "notices"] {
      try ann.join(room)
      try bob.join(room)
    }
    _ = try ann.settle()
    // With its quotes, exactly what is allowed, and one byte more.
    let longest = #""\#(String(repeating: "s", count: 1022))""#
    #expect(try bob.ask(#""type":"state","room":"r","state":\#(longest)"#).type == "ack")
    _ = try ann.expect("user_state")
    for (members, code) in [
      (#""room":"r","state":"\#(String(repeating: "s", count: 1023))""#, "too_large"),
      (#""room":"elsewhere","state":1"#, "not_joined"), (#""room":"audience","state":1"#, "forbidden"),
      (#""room":"notices","state":1"#, "forbidden"), (#""room":"r""#, "bad_request"), (#""state":1"#, "bad_request"),
      (#""room":"","state":1"#, "bad_room"),
    ] {
      let answer = try bob.ask(#""type":"state",\#(members)"#)
      #expect(answer.type == "error" && answer.string("code") == code, "\(members.prefix(60)): \(answer)")
    }
    #expect(try ann.settle().isEmpty)
    #expect(try presence(ann, "r").text.contains(longest))
  }

  @Test("takes no state from a token that may only read the room, and none without a token")
  func stateNeedsTheRightToPublish() throws {
    let server = try withTokens()
    let ann = try connect("ann", ["--rooms", "r:news,chat"], to: server)
    try ann.join("news")
    try ann.join("chat")
    #expect(try ann.ask(#""type":"state","room":"news","state":1"#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"state","room":"chat","state":1"#).type == "ack")
    let nobody = try WebSocketClient(port: server.port, target: "/ws")
    try nobody.expect("welcome")
    #expect(try nobody.ask(#""type":"state","room":"chat","state":1"#).string("code") == "unauthenticated")
  }

  // MARK: Joins

  @Test("tells who has joined with the info of its token")
  func info() throws {
    let server = try withTokens()
    let ann = try connect("ann", [], to: server)
    try ann.join("r")
    let bob = try connect("bob", ["--info", #"{"name":"Bob","n":1}"#], to: server)
    try bob.join("r")
    #expect(
      try ann.expect("user_joined").text
        == #"{"type":"user_joined","room":"r","user":"bob","info":{"name":"Bob","n":1}}"#)
    bob.connection.closeNow()
    #expect(try ann.expect("user_left").text == #"{"type":"user_left","room":"r","user":"bob"}"#)
    let eve = try connect("eve", [], to: server)
    try eve.join("r")
    #expect(try ann.expect("user_joined").text == #"{"type":"user_joined","room":"r","user":"eve"}"#)
  }

  // MARK: Grace

  @Test("tells nothing of a user who is back within leave-debounce, and user_left once of one who is not")
  func grace() throws {
    let server = try RoostProcess(["--leave-debounce", "2s"])
    let (ann, bob, eve) = (try server.connect("ann"), try server.connect("bob"), try server.connect("eve"))
    try ann.join("r")
    try bob.join("r")
    try eve.join("r")
    try eve.ask(#""type":"state","room":"r","state":"busy""#)
    try ann.expect("user_state")
    _ = try ann.settle()
    let clock = ContinuousClock()
    let left = clock.now
    bob.connection.closeNow()
    #expect(try eve.ask(#""type":"leave","room":"r""#).type == "left")
    try eventually("both are in grace") { try server.inspect("presence/r")["count"]?.asInt == 1 }
    let during = try presence(ann, "r")
    #expect(users(during) == ["ann", "bob", "eve"] && during.int("count") == 3)
    #expect(during["members"]?.asArray?.map { $0["connections"]?.asInt } == [1, 0, 0])
    // What a user said stays with it in its grace, and after that.
    #expect(during["members"]?.asArray?[2]["state"]?.asString == "busy")
    let shown = try server.inspect("presence/r")
    #expect(shown["users"]?.asInt == 3 && shown["members"]?.asArray?[1]["connections"]?.asArray?.isEmpty == true)
    let back = try server.connect("bob")
    #expect(try back.join("r").int("members") == 3)
    let told = try collect(ann, "the grace is over") { $0.contains { $0.type == "user_left" } }
    let waited = clock.now - left
    #expect(waited > .milliseconds(1900) && waited < .seconds(6), "\(waited)")
    // Nor is anything told later of bob, who is back, or of eve again.
    usleep(2_500_000)
    #expect((told + (try ann.settle())).map(\.text) == [#"{"type":"user_left","room":"r","user":"eve"}"#])
    #expect(try presence(back, "r")["members"]?.asArray?.map { $0["connections"]?.asInt } == [1, 1])
  }

  @Test("a page that is loaded again within leave-debounce keeps its place and its state; a rule may set it for a room")
  func reload() throws {
    let server = try SettingsFileOnDisk.node(rooms: #"[{"match":"calm","leave-debounce":"1m"}]"#)
    let ann = try server.connect("ann")
    var bob = try server.connect("bob")
    for room in ["calm", "r"] {
      try ann.join(room)
      try bob.join(room)
      try bob.ask(#""type":"state","room":"\#(room)","state":1"#)
    }
    _ = try ann.settle()
    bob.connection.closeNow()
    #expect(try ann.expect("user_left").string("room") == "r")
    bob = try server.connect("bob")
    try bob.join("calm")
    try bob.join("r")
    #expect(try ann.settle().map(\.text) == [#"{"type":"user_joined","room":"r","user":"bob"}"#])
    #expect(try presence(ann, "calm")["members"]?.asArray?[1]["state"]?.asInt == 1)
    #expect(try presence(ann, "calm")["members"]?.asArray?[1]["connections"]?.asInt == 1)
    #expect(try presence(ann, "r")["members"]?.asArray?[1]["state"] == nil)
  }

  // MARK: Crowds

  @Test("tells a crowd in sum, at most once an interval, and each user again once it has become small")
  func crowd() throws {
    let server = try RoostProcess(["--presence-announce-max", "3", "--presence-interval", "1s"])
    let watcher = try server.connect("a0")
    try watcher.join("r")
    var others = try (1...2).map { try server.connect("a\($0)") }
    for client in others { try client.join("r") }
    #expect(try watcher.settle().map(\.type) == ["user_joined", "user_joined"])
    // The fourth makes it a crowd: told at once, and what follows in the next interval together.
    let clock = ContinuousClock()
    let start = clock.now
    for name in ["a3", "a4", "a5"] {
      let client = try server.connect(name)
      try client.join("r")
      others.append(client)
    }
    let first = try watcher.expect("presence_update")
    #expect(first.text == #"{"type":"presence_update","room":"r","count":4,"joined":["a3"],"left":[]}"#)
    others.removeLast().connection.closeNow()
    let second = try watcher.expect("presence_update")
    #expect(clock.now - start > .milliseconds(900))
    // Who came and went in between is named as it is now.
    #expect(second.text == #"{"type":"presence_update","room":"r","count":5,"joined":["a4"],"left":["a5"]}"#)
    #expect(try watcher.settle().isEmpty)
    // Fewer than four fifths of three are no crowd any more: the change that makes it so still comes in sum.
    for _ in 0..<3 { others.removeLast().connection.closeNow() }
    let last = try collect(watcher, "the crowd has gone") { $0.contains { $0.int("count") == 2 } }
    #expect(last.allSatisfy { $0.type == "presence_update" }, "\(last)")
    #expect(Set(last.flatMap { $0["left"]?.asArray ?? [] }.compactMap(\.asString)) == ["a2", "a3", "a4"])
    let back = try server.connect("b")
    try back.join("r")
    #expect(try watcher.expect("user_joined").string("user") == "b")
    #expect(try watcher.settle().isEmpty)
  }

  @Test("with presence-announce-max 0 tells nobody one by one; names at most 100 and says that there are more")
  func announcesNobody() throws {
    let server = try RoostProcess(["--presence-announce-max", "0", "--presence-interval", "3s"])
    let watcher = try server.connect("watcher")
    try watcher.join("r")
    let others = try (0..<130).map { try server.connect("user\(1000 + $0)") }
    for client in others { try client.join("r") }
    let updates = try collect(watcher, "all were told of") { $0.last?.int("count") == 131 }
    #expect(updates.allSatisfy { $0.type == "presence_update" })
    #expect(updates.allSatisfy { ($0["joined"]?.asArray?.count ?? 0) + ($0["left"]?.asArray?.count ?? 0) <= 100 })
    #expect(updates.contains { $0["more"]?.asBool == true })
    let answer = try presence(watcher, "r")
    #expect(answer.int("count") == 131 && users(answer).count == 131)
  }

  // MARK: Pages

  @Test("gives presence in pages: over the socket after a name, to an administrator after a cursor")
  func pages() throws {
    let server = try RoostProcess()
    let names = (10..<35).map { "user\($0)" }
    let clients = try (names + ["user12"]).map { try server.connect($0) }
    for client in clients { try client.join("r") }
    var (seen, pages, after): ([String], Int, String) = ([], 0, "")
    while true {
      let page = try presence(clients[0], "r", #","limit":7"# + (after.isEmpty ? "" : #","after":"\#(after)""#))
      #expect(page.int("count") == 25)
      seen += users(page)
      pages += 1
      guard page["more"]?.asBool == true else { break }
      after = try #require(users(page).last)
    }
    #expect(seen == names && pages == 4)
    (seen, pages) = ([], 0)
    var cursor: String? = ""
    while let known = cursor {
      let page = try server.inspect("presence/r?limit=7" + (known.isEmpty ? "" : "&cursor=\(known)"))
      #expect(page["count"]?.asInt == 26 && page["users"]?.asInt == 25)
      seen += page["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
      pages += 1
      cursor = page["cursor"]?.asString
    }
    #expect(seen == names && pages == 4)
    #expect(try users(presence(clients[0], "r", #","after":"user33x""#)) == ["user34"])
    #expect(try users(presence(clients[0], "r", #","after":"user34""#)).isEmpty)
    for (members, code) in [
      (#""limit":0"#, "bad_request"), (#""after":7"#, "bad_request"),
    ] {
      #expect(try clients[0].ask(#""type":"presence","room":"r",\#(members)"#).string("code") == code, "\(members)")
    }
    for query in ["limit=0", "limit=10001", "after=x"] {
      #expect(try server.admin("GET", "presence/r?\(query)").status == 400, "\(query)")
    }
  }

  @Test("roost presence shows a room of 2,500 users whole, with who is leaving and what they say")
  func presenceCommand() throws {
    let server = try RoostProcess(["--presence-announce-max", "0", "--leave-debounce", "10m", "--ping-interval", "10m"])
    let names = (0..<2500).map { "user\(10_000 + $0)" }
    var clients = try names.map { try server.connect($0) }
    for client in clients { try client.send(#"{"type":"join","room":"big"}"#) }
    try eventually("all have joined", within: 60) { try server.inspect("presence/big?limit=1")["users"]?.asInt == 2500 }
    try clients[7].ask(#""type":"state","room":"big","state":{"away":true}"#)
    clients.removeLast().connection.closeNow()
    try eventually("one is leaving") { try server.inspect("presence/big?limit=1")["count"]?.asInt == 2499 }
    let options = ["--url", "http://127.0.0.1:\(server.port)", "--admin-token", RoostProcess.adminToken]
    let table = try RoostProcess.run(["presence", "big"] + options)
    #expect(table.end == .exited(0))
    let lines = table.output.split(separator: "\n")
    #expect(lines.first?.hasPrefix("USER") == true && lines.first?.hasSuffix("STATE") == true)
    #expect(lines.last == "big: 2500 users (1 leaving), 2499 connections")
    #expect(lines.dropFirst().dropLast().map { String($0.prefix { $0 != " " }) } == names)
    #expect(lines[8].hasSuffix(#"{"away":true}"#), "\(lines[8])")
    #expect(lines[2500].contains("leaving"), "\(lines[2500])")
    let json = try RoostProcess.run(["presence", "big", "--json"] + options)
    let pages = try json.output.split(separator: "\n").map { try JSONValue.parse(Array($0.utf8).span) }
    #expect(pages.count == 3 && pages.allSatisfy { $0["users"]?.asInt == 2500 })
    #expect(pages.flatMap { $0["members"]?.asArray ?? [] }.compactMap { $0["user"]?.asString } == names)
    let rooms = try RoostProcess.run(["rooms"] + options)
    #expect(rooms.output == "ROOM  USERS\nbig    2500\n1 room\n")
  }
}
