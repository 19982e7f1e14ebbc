import JSONCore
import TestSupport
import Testing

@testable import Server

@Suite("One node, what backends send in bulk and order")
struct ServerAPITests {
  private func connectionName(_ client: WebSocketClient) throws -> String {
    try client.ask(#""type":"request","action":"whoami""#)["payload"]?["connection"]?.asString ?? ""
  }

  private func lines(_ answer: HTTPAnswer) throws -> [JSONValue] {
    try answer.body.split(separator: UInt8(ascii: "\n")).map { try JSONValue.parse($0.span) }
  }

  // MARK: Many rooms

  @Test("publishes in many rooms, each with a result of its own, and once for each Idempotency-Key")
  func manyRooms() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    for room in ["a", "b"] { try ann.join(room) }
    for _ in 1...2 {
      let answer = try server.admin(
        "POST", "publish", body: #"{"rooms":["a","x*","b",""],"data":{"n":1},"user":"bot"}"#,
        headers: ["Idempotency-Key: k"])
      #expect(answer.status == 200, "\(answer)")
      let results = try answer.json()["results"]?.asArray ?? []
      #expect(results.map { $0["room"]?.asString } == ["a", "x*", "b", ""])
      #expect(results.map { $0["offset"]?.asInt } == [1, nil, 1, nil])
      #expect(results.map { $0["error"]?["code"]?.asString } == [nil, "bad_room", nil, "bad_room"])
    }
    let seen = try ann.settle()
    #expect(seen.map { $0.string("room") } == ["a", "b"] && seen.allSatisfy { $0.string("user") == "bot" })
    let rooms = (0..<1001).map { "\"r\($0)\"" }
    let most = try server.admin(
      "POST", "publish", body: #"{"rooms":[\#(rooms.dropLast().joined(separator: ","))],"data":{}}"#)
    #expect(try most.json()["results"]?.asArray?.allSatisfy { $0["offset"]?.asInt == 1 } == true)
    #expect(try most.json()["results"]?.asArray?.count == 1000)
    let wrong = [
      #""rooms":[\#(rooms.joined(separator: ","))]"#, #""rooms":[]"#, #""rooms":"a""#, #""rooms":["a",1]"#,
      #""rooms":["a"],"room":"a""#, #""rooms":["\ud800"]"#,
    ]
    for members in wrong {
      let answer = try server.admin("POST", "publish", body: "{\(members),\"data\":{}}")
      #expect(answer.status == 400, "\(members.prefix(40)): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.contains("rooms") == true)
    }
    #expect(try ann.settle().isEmpty)
  }

  // MARK: Batches

  @Test("answers each line of a batch in order, and one bad line harms no other")
  func batch() throws {
    let server = try RoostProcess(["--api-key", "the-key-of-backends", "--max-message", "1k"])
    let ann = try server.connect("ann")
    try ann.join("r")
    let long = String(repeating: "a", count: 1100)
    let body = [
      #"{"type":"publish","room":"r","data":{"n":1},"id":"k1"}"#, "", "nonsense",
      #"{"type":"publish","room":"r","data":{"n":1},"id":"k1"}"#,
      #"{"type":"publish","room":"r","data":{"n":2}}"# + "\r",
      #"{"type":"direct","to":"ann","data":{"n":3},"id":"k3"}"#, #"{"type":"disconnect","user":"ann"}"#,
      #"{"type":"publish","room":"r","data":{"text":"\#(long)"}}"#, #"{"type":"broadcast","data":{"n":4}}"#,
      #"{"type":"broadcast","data":{},"room":"r","id":"k5"}"#, #"{"type":"publish","room":"r","data":{"id":1}}"#,
      #"{"type":"publish","rooms":["r","s"],"data":{"n":5}}"#, #"{"type":"publish","room":"r","data":{"n":6}}"#,
      #"{"room":"r","data":{}}"#, #"{"type":"publish","room":"r","data":{},"id":""}"#,
    ].joined(separator: "\n")
    let answer = try server.admin("POST", "batch", body: body, token: "the-key-of-backends")
    #expect(answer.status == 200 && answer.header("content-type") == "application/x-ndjson", "\(answer)")
    let answers = try lines(answer)
    #expect(
      answers.map { $0["error"]?["code"]?.asString } == [
        nil, "bad_request", nil, nil, nil, "unknown_type", "too_large", nil, "bad_request", "bad_request", nil, nil,
        "bad_request", "bad_request",
      ])
    #expect(
      answers.map { $0["id"]?.asString } == ["k1", nil, "k1", nil, "k3"] + [nil, nil, nil, "k5"]
        + .init(repeating: nil, count: 5))
    #expect(answers.map { $0["offset"]?.asInt } == [1, nil, 1, 2] + .init(repeating: nil, count: 7) + [4, nil, nil])
    #expect(answers[4]["delivered"]?.asInt == 1 && answers[7]["ok"]?.asBool == true)
    #expect(answers[10]["results"]?.asArray?.map { $0["offset"]?.asInt } == [3, 1])
    let seen = try ann.settle()
    #expect(seen.filter { $0.type == "message" }.map { $0.int("n") } == [1, 2, 5, 6])
    #expect(seen.filter { $0.type != "message" }.map { $0.int("n") } == [3, 4])
  }

  @Test("keeps the order of many lines, and bounds lines, messages and bytes")
  func batchLimits() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    let count = 3000
    let body = (0..<count).map { #"{"type":"publish","room":"\#($0 % 3 == 0 ? "r" : "s")","data":{"n":\#($0)}}"# }
    let answers = try lines(server.admin("POST", "batch", body: body.joined(separator: "\n")))
    #expect(answers.count == count)
    for room in ["r", "s"] {
      let offsets = answers.filter { $0["room"]?.asString == room }.compactMap { $0["offset"]?.asInt }
      #expect(offsets == Array(1...offsets.count))
    }
    #expect(try ann.settle().map { $0.int("n") } == (0..<count).filter { $0 % 3 == 0 })
    // A wrong line is the shortest that is answered.
    let tooMany = String(repeating: "x\n", count: AdminBatch.linesMax)
    #expect(try lines(server.admin("POST", "batch", body: tooMany)).count == AdminBatch.linesMax)
    let more = try server.admin("POST", "batch", body: tooMany + "x")
    #expect(more.status == 413 && more.text.contains("\(AdminBatch.linesMax)"), "\(more)")
    let rooms = (0..<1000).map { "\"r\($0)\"" }.joined(separator: ",")
    let wide = Array(repeating: #"{"type":"publish","rooms":[\#(rooms)],"data":{}}"#, count: 11)
    let results = try lines(server.admin("POST", "batch", body: wide.joined(separator: "\n")))
    #expect(results.map { $0["error"]?["code"]?.asString } == .init(repeating: nil, count: 10) + ["too_large"])
    for (body, status) in [("", 400), ("\n \n\r\n", 400), (String(repeating: "x", count: 1024 * 1024 + 1), 413)] {
      #expect(try server.admin("POST", "batch", body: body).status == status)
    }
    let keyed = try server.admin("POST", "batch", body: "{}", headers: ["Idempotency-Key: k"])
    #expect(keyed.status == 400 && keyed.text.contains("give each line an id"))
  }

  // MARK: Orders

  @Test("moves a user's connections, or one, into a room and out of it, as if they had asked")
  func moves() throws {
    let server = try RoostProcess()
    let (first, second, bob) = (try server.connect("ann"), try server.connect("ann"), try server.connect("bob"))
    try bob.join("r")
    func move(_ path: String, _ who: String) throws -> Int? {
      let answer = try server.admin("POST", path, body: #"{\#(who),"room":"r"}"#)
      #expect(answer.status == 200, "\(answer)")
      #expect(try answer.json()["room"]?.asString == "r")
      return try answer.json()["connections"]?.asInt
    }
    #expect(try move("subscribe", #""user":"ann""#) == 2)
    for client in [first, second] {
      let joined = try client.expect("joined")
      #expect(joined.string("room") == "r" && joined.string("id") == nil)
    }
    #expect(try bob.expect("user_joined").string("user") == "ann")
    try bob.publish("r", #""n":1"#)
    for client in [first, second] { #expect(try client.expect("message").int("n") == 1) }
    let name = try connectionName(first)
    #expect(try move("unsubscribe", #""connection":"\#(name)""#) == 1)
    #expect(try first.expect("left").string("room") == "r")
    try bob.publish("r", #""n":2"#)
    #expect(try second.expect("message").int("n") == 2)
    #expect(try first.settle().isEmpty)
    #expect(try move("unsubscribe", #""user":"ann""#) == 2)
    #expect(try second.expect("left").string("room") == "r")
    #expect(try bob.expect("user_left").string("user") == "ann")
    // Who was not in the room gets no word of having left.
    #expect(try first.settle().isEmpty)
    #expect(try move("subscribe", #""connection":"\#(name)""#) == 1)
    #expect(try first.expect("joined").string("room") == "r")
    #expect(try move("subscribe", #""user":"nobody""#) == 0)
  }

  @Test("refuses orders that name nobody, or no room")
  func wrongOrders() throws {
    let server = try RoostProcess(["--api-key", "the-key-of-backends"])
    for path in ["subscribe", "unsubscribe"] {
      #expect(try server.admin("POST", path, body: #"{"connection":"none","room":"r"}"#).status == 404)
      for body in [
        "", "{}", #"{"room":"r"}"#, #"{"user":"ann"}"#, #"{"user":"ann","connection":"c","room":"r"}"#,
        #"{"user":"ann","room":""}"#, #"{"user":"ann","room":"r*"}"#, #"{"user":"","room":"r"}"#,
        #"{"user":"ann","room":"r","since":1}"#,
      ] {
        #expect(try server.admin("POST", path, body: body).status == 400, "\(path) \(body)")
      }
    }
    for body in [#"{"node":7}"#, #"{"nodes":"n"}"#, "[]"] {
      #expect(try server.admin("POST", "drain", body: body).status == 400, "\(body)")
    }
    #expect(try server.admin("POST", "drain", body: #"{"node":"none"}"#).status == 404)
    for path in ["subscribe", "unsubscribe", "drain"] {
      #expect(try server.admin("POST", path, body: "{}", token: "the-key-of-backends").status == 403)
      #expect(try server.admin("GET", path).status == 405)
    }
    #expect(try server.http.get("/readyz").status == 200)
  }

  @Test("moves beyond what a token and a rule allow, not beyond max-rooms; the room stays after a new token")
  func orderedRooms() throws {
    let rules = #"[{"match":"closed:*","join":false}]"#
    let server = try SettingsFileOnDisk.node(rooms: rules, MintedToken.flags + ["--max-rooms", "2"])
    let ann = try server.connect(token: MintedToken.make(#""sub":"ann","rooms":["lobby"]"#))
    func subscribe(_ room: String) throws {
      let answer = try server.admin("POST", "subscribe", body: #"{"user":"ann","room":"\#(room)"}"#)
      #expect(try answer.json()["connections"]?.asInt == 1, "\(answer)")
    }
    try subscribe("closed:1")
    #expect(try ann.expect("joined").string("room") == "closed:1")
    // It may repeat its join there, and publishes no more than its token allows.
    #expect(try ann.ask(#""type":"join","room":"closed:1""#).type == "joined")
    #expect(try ann.ask(#""type":"message","room":"closed:1","n":1"#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"join","room":"closed:2""#).string("code") == "forbidden")
    try ann.join("lobby")
    try subscribe("third")
    #expect(try ann.expect("error").string("code") == "too_many_rooms")
    let token = try MintedToken.make(#""sub":"ann","rooms":["other"]"#)
    try ann.send(#"{"type":"auth","token":"\#(token)"}"#)
    try ann.expect("auth_success")
    #expect(try ann.expect("left").string("room") == "lobby")
    #expect(try server.admin("POST", "publish", body: #"{"room":"closed:1","data":{"n":2}}"#).status == 200)
    #expect(try ann.expect("message").int("n") == 2)
    #expect(try ann.ask(#""type":"leave","room":"closed:1""#).type == "left")
    #expect(try ann.ask(#""type":"join","room":"closed:1""#).string("code") == "forbidden")
  }

  @Test("drains by an order as by SIGTERM, after the answer", arguments: ["", "{}", #"{"node":"n1"}"#])
  func drain(body: String) throws {
    let server = try RoostProcess(["--node-id", "n1", "--drain", "200ms"])
    let ann = try server.connect("ann")
    let answer = try server.admin("POST", "drain", body: body)
    #expect(answer.status == 200, "\(answer)")
    #expect(try answer.json()["node"]?.asString == "n1")
    try ann.expect("reconnect")
    #expect(try ann.expectClose() == 1012)
    #expect(try server.process.waitForEnd() == .exited(0))
  }

  // MARK: The description

  @Test("describes itself to who has the admin token, and each path that it describes is there")
  func description() throws {
    let server = try RoostProcess(["--api-key", "the-key-of-backends"])
    #expect(try server.http.get("/admin/openapi.json").status == 401)
    #expect(try server.admin("GET", "openapi.json", token: "the-key-of-backends").status == 403)
    let document = try server.inspect("openapi.json")
    #expect(document["openapi"]?.asString == "3.1.0")
    let paths = document["paths"]?.asObject ?? []
    #expect(paths.count > 20)
    for path in paths.map({ String(decoding: $0.key, as: UTF8.self) }) {
      let target = path.replacing("{room}", with: "r").replacing("{user}", with: "u").replacing("{id}", with: "c")
      let answer = try server.http.ask("PUT", target, headers: ["Authorization: Bearer \(RoostProcess.adminToken)"])
      if !path.hasPrefix("/hooks/") { #expect(answer.status == 405, "\(path): \(answer)") }
    }
  }

  @Test("refuses keys and names that JSON or a header could not carry")
  func hostileNames() throws {
    let server = try RoostProcess()
    for path in ["users/%ff", "users/a%00", "users/\(String(repeating: "u", count: 201))", "connections/%ff"] {
      let answer = try server.admin("GET", path)
      #expect(answer.status == (path.hasPrefix("users") ? 400 : 404), "\(path): \(answer)")
      #expect(try answer.json()["error"] != nil)
    }
    for key in ["é", "a\tb", String(repeating: "k", count: 256)] {
      let answer = try server.admin("POST", "broadcast", body: #"{"data":{}}"#, headers: ["Idempotency-Key: \(key)"])
      #expect(answer.status == 400, "\(key): \(answer)")
    }
  }
}

@Suite("Steps in their order, a few at a time")
struct PacedRunTests {
  private final class Steps {
    var begun: [Int] = []
    var finish: [Int: () -> Void] = [:]
    var later: [() -> Void] = []
    var isDone = false

    func start(_ count: Int, bytes: Int = 1, finishesAtOnce: Bool = false, barriers: Set<Int> = []) {
      PacedRun.start(
        count: count, after: { [self] in later.append($1) }, byteCount: { _ in bytes },
        step: { [self] index, finished in
          begun.append(index)
          if finishesAtOnce { finished() } else { finish[index] = finished }
          return barriers.contains(index)
        }, done: { [self] in isDone = true })
    }
  }

  @Test("keeps as many under way as are allowed, and begins the next in order whichever ends first")
  func window() {
    let steps = Steps()
    steps.start(100)
    #expect(steps.begun == Array(0..<PacedRun.underWayMax) && !steps.isDone)
    steps.finish[5]?()
    steps.finish[0]?()
    #expect(steps.begun == Array(0..<(PacedRun.underWayMax + 2)))
    for index in (0..<100).reversed() where index != 5 && index != 0 { steps.finish[index]?() }
    for index in PacedRun.underWayMax..<100 { if !steps.isDone { steps.finish[index]?() } }
    #expect(steps.begun == Array(0..<100))
  }

  @Test("counts bytes, and lets one step that is larger than all of them through alone")
  func bytes() {
    let half = Steps()
    half.start(10, bytes: PacedRun.bytesUnderWayMax / 2)
    #expect(half.begun == [0, 1])
    let large = Steps()
    large.start(3, bytes: PacedRun.bytesUnderWayMax * 2)
    #expect(large.begun == [0])
    for index in 0..<3 { large.finish[index]?() }
    #expect(large.begun == [0, 1, 2] && large.isDone)
  }

  @Test("begins nothing after a barrier before it has ended")
  func barrier() {
    let steps = Steps()
    steps.start(4, barriers: [1])
    #expect(steps.begun == [0, 1])
    steps.finish[0]?()
    #expect(steps.begun == [0, 1])
    steps.finish[1]?()
    #expect(steps.begun == [0, 1, 2, 3])
  }

  @Test("lets others have the loop between steps that end at once, and does each once")
  func turns() {
    let steps = Steps()
    steps.start(1000, finishesAtOnce: true, barriers: [3, 500])
    var turns = 1
    while let next = steps.later.popLast() {
      turns += 1
      next()
    }
    #expect(steps.begun == Array(0..<1000) && steps.isDone)
    #expect(turns == (1000 + PacedRun.stepsPerTurn - 1) / PacedRun.stepsPerTurn)
  }
}
