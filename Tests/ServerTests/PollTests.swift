import JSONCore
import LoopCore
import TestSupport
import Testing

@Suite("One node, polls without a connection")
struct PollTests {
  /// A poll that waits, on a connection of its own.
  private final class Waiting {
    let connection: TCPConnection

    init(_ server: RoostProcess, _ target: String, headers: [String] = []) throws {
      connection = try TCPConnection(port: server.port)
      try send(target, headers: headers)
    }

    func send(_ target: String, headers: [String] = []) throws {
      try connection.send(HTTPClient.request("GET", target, headers: headers))
    }

    func answer() throws -> HTTPAnswer { try HTTPClient.readAnswer(connection, within: 15) }
  }

  /// What an answer says.
  private struct Page: Equatable {
    var offset: Int
    var isRecovered: Bool
    var numbers: [Int]
    var position: String

    init(_ answer: HTTPAnswer) throws {
      #expect(answer.status == 200 && answer.header("cache-control") == "no-store", "\(answer)")
      let json = try answer.json()
      offset = try #require(json["offset"]?.asInt)
      isRecovered = answer.text.contains(#""recovered":true"#)
      position = "\(try #require(json["epoch"]?.asString)):\(offset)"
      numbers = try #require(json["messages"]?.asArray).compactMap { $0["n"]?.asInt }
    }
  }

  private func publish(_ server: RoostProcess, _ n: Int, _ room: String = "r") throws {
    _ = try server.admin("POST", "publish", body: #"{"room":"\#(room)","data":{"n":\#(n)}}"#)
  }

  @Test("begins without a position, then brings what came after one, at once or as soon as it comes")
  func longPoll() throws {
    let server = try RoostProcess()
    let target = "/poll?room=r&user=eve"
    let start = try Page(try server.http.get(target))
    #expect(start.offset == 0 && start.numbers == [] && start.isRecovered)
    // Whether the room has ever had a message or not, the next poll waits at the same place.
    let waiting = try Waiting(server, target + "&since=\(start.position)")
    try eventually("the poll waits") { try server.admin("GET", "rooms").status == 200 }
    try publish(server, 1)
    let first = try Page(try waiting.answer())
    #expect(first.numbers == [1] && first.offset == 1 && first.isRecovered)
    for n in 2...4 { try publish(server, n) }
    // The connection goes on: the next poll finds what came meanwhile.
    try waiting.send(target + "&since=\(first.position)")
    let missed = try Page(try waiting.answer())
    #expect(missed.numbers == [2, 3, 4] && missed.offset == 4)
    let text = try server.http.get(target + "&since=\(start.position)&wait=0").text
    #expect(
      text.hasPrefix(#"{"room":"r","epoch":""#)
        && text.contains(#"{"type":"message","room":"r","user":null,"offset":1,"#))
    #expect(try Page(try server.http.get(target + "&since=\(missed.position)&wait=250ms")).numbers == [])
    // Polls are no connection: nobody sees them in presence.
    #expect(try server.inspect("presence/r")["users"]?.asInt == 0)
  }

  @Test("a hundred polls of one room get one message each, and those who have gone leave nothing")
  func crowd() throws {
    let server = try RoostProcess()
    let start = try Page(try server.http.get("/poll?room=r&user=eve"))
    let target = "/poll?room=r&user=eve&since=\(start.position)"
    let crowd = try (0..<100).map { _ in try Waiting(server, target) }
    let leaving = try (0..<20).map { _ in try Waiting(server, target) }
    for each in leaving { each.connection.closeNow() }
    try publish(server, 1)
    let answers = try crowd.map { try $0.answer() }
    #expect(Set(answers.map(\.text)).count == 1)
    #expect(try Page(answers[0]).numbers == [1])
    // Two at different places, and one ahead of the room: what it has the broker lacks.
    try publish(server, 2)
    let position = try Page(answers[0]).position
    #expect(try Page(try server.http.get("/poll?room=r&user=eve&since=\(position)")).numbers == [2])
    let epoch = position.prefix { $0 != ":" }
    let ahead = try Page(try Waiting(server, "/poll?room=r&user=eve&since=\(epoch):3").answer())
    #expect(!ahead.isRecovered && ahead.offset == 2 && ahead.numbers.isEmpty)
  }

  @Test("says when history does not reach back, and what is binary comes as JSON")
  func lost() throws {
    let server = try RoostProcess(["--history-size", "3"])
    let ann = try server.connect("ann")
    try ann.join("r")
    for n in 1...6 { try ann.publish("r", "\"n\":\(n)") }
    let now = try Page(try server.http.get("/poll?room=r&user=eve"))
    let epoch = now.position.prefix { $0 != ":" }
    for since in ["\(epoch):1", "1:6", "1:0"] {
      for wait in ["0", "10s"] {
        let page = try Page(try server.http.get("/poll?room=r&user=eve&since=\(since)&wait=\(wait)"))
        #expect(page.offset == 6 && !page.isRecovered && page.numbers == [], "\(since)")
      }
    }
    #expect(try Page(try server.http.get("/poll?room=r&user=eve&since=\(epoch):3")).numbers == [4, 5, 6])
    let waiting = try Waiting(server, "/poll?room=r&user=eve&since=\(now.position)")
    try ann.send(binary: [1, 1] + Array("r".utf8) + [0xFF, 0x00])
    #expect(try waiting.answer().text.contains(#""binary":"/wA="}]}"#))
  }

  @Test("an answer holds a megabyte, then says that there is more")
  func pages() throws {
    let server = try RoostProcess()
    let ann = try server.connect("ann")
    try ann.join("r")
    let text = String(repeating: "x", count: 60_000)
    for n in 1...40 { try ann.publish("r", "\"n\":\(n),\"text\":\"\(text)\"") }
    let now = try Page(try server.http.get("/poll?room=r&user=eve"))
    var position = "\(now.position.prefix { $0 != ":" }):0"
    var numbers: [Int] = []
    for _ in 0..<3 {
      let answer = try server.http.get("/poll?room=r&user=eve&since=\(position)")
      let page = try Page(answer)
      #expect(answer.body.count < 1_200_000)
      numbers += page.numbers
      position = page.position
      #expect(answer.text.hasSuffix(numbers.count < 40 ? #"],"more":true}"# : "]}"))
    }
    #expect(numbers == Array(1...40))
  }

  @Test("a short poll has a tag, and is not answered again while nothing came")
  func tags() throws {
    let server = try RoostProcess()
    let target = "/poll?room=r&user=eve&wait=0&since="
    let start = try Page(try server.http.get("/poll?room=r&user=eve"))
    try publish(server, 1)
    let first = try server.http.get(target + start.position)
    let tag = try #require(first.header("etag"))
    for tags in [tag, "W/\(tag)", "\"x\", \(tag)", "*"] {
      let again = try server.http.get(target + start.position, headers: ["If-None-Match: \(tags)"])
      #expect(again.status == 304 && again.body.isEmpty && again.header("etag") == tag, "\(tags): \(again)")
    }
    #expect(try server.http.get(target + start.position, headers: ["If-None-Match: \"x\""]).text == first.text)
    try publish(server, 2)
    let more = try server.http.get(target + start.position, headers: ["If-None-Match: \(tag)"])
    #expect(try more.status == 200 && Page(more).numbers == [1, 2])
  }

  @Test("is refused with JSON that says what is wrong")
  func refused() throws {
    let server = try RoostProcess()
    for (query, status) in [
      ("", 400), ("room=", 400), ("room=a&room=b", 400), ("room=a*", 400), ("room=%00", 400), ("room=r&since=", 400),
      ("room=r&since=x", 400), ("room=r&since=1:", 400), ("room=r&since=1:-1", 400),
      ("room=r&since=1:9007199254740992", 400), ("room=r&since=1:1&wait=56s", 400), ("room=r&since=1:1&wait=-1s", 400),
      ("room=r&since=1:1&wait=25", 400), ("room=r&wait=99999999999999999999h", 400), ("room=r&user=%01", 400),
      ("room=" + String(repeating: "x", count: 201), 400),
    ] {
      let answer = try server.http.get("/poll?\(query)")
      #expect(answer.status == status, "\(query): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.isEmpty == false, "\(query): \(answer)")
    }
    for method in ["POST", "PUT"] { #expect(try server.http.ask(method, "/poll?room=r", body: "").status == 405) }
  }

  @Test("keeps to tokens, and a token that is revoked gets nothing more")
  func tokens() throws {
    let secret = "a secret of 32 bytes, for testing"
    let server = try RoostProcess(["--auth", "jwt", "--jwt-secret", secret])
    let token = try RoostProcess.run([
      "token", "--user", "ann", "--rooms", "chat:*", "--jwt-secret", secret,
    ]).output.dropLast()
    let bearer = ["Authorization: Bearer \(token)"]
    #expect(try server.http.get("/poll?room=chat:1").status == 401)
    #expect(try server.http.get("/poll?room=other", headers: bearer).status == 403)
    let start = try Page(try server.http.get("/poll?room=chat:1", headers: bearer))
    let waiting = try Waiting(server, "/poll?room=chat:1&since=\(start.position)", headers: bearer)
    _ = try server.admin("POST", "revoke", body: #"{"user":"ann"}"#)
    try publish(server, 1, "chat:1")
    #expect(try waiting.answer().status == 401)
  }

  @Test("ends the wait of a poll when its user is revoked and when its token ends", arguments: ["none", "jwt"])
  func endsWaits(mode: String) throws {
    let server = try RoostProcess(mode == "jwt" ? MintedToken.flags : [])
    func target(_ user: String, _ claims: String = "") throws -> String {
      let token = mode == "jwt" ? try MintedToken.make(#""sub":"\#(user)"\#(claims)"#) : ""
      return "/poll?room=r&" + (mode == "jwt" ? "token=\(token)" : "user=\(user)")
    }
    let start = try Page(try server.http.get(try target("ann")))
    let rest = "&since=\(start.position)&wait=55s"
    let (ann, bob) = (try Waiting(server, try target("ann") + rest), try Waiting(server, try target("bob") + rest))
    #expect(try server.admin("POST", "revoke", body: #"{"user":"ann"}"#).status == 200)
    let answer = try ann.answer()
    #expect(answer.status == 401 && answer.text.contains("revoked"), "\(answer)")
    if mode == "jwt" {
      let end = Int(Double(Clock.wallMilliseconds()) / 1000) + 2
      let short = try Waiting(server, try target("eve", #","exp":\#(end)"#) + rest)
      let answer = try short.answer()
      #expect(answer.status == 401 && answer.text.contains("no longer valid"), "\(answer)")
    }
    try publish(server, 1)
    #expect(try Page(try bob.answer()).numbers == [1])
  }

  @Test("counts against the connections of the node and the rates of its address, and a drain answers it")
  func limits() throws {
    let server = try RoostProcess(["--max-connections", "2", "--rate", "20", "--drain", "500ms"])
    let start = try Page(try server.http.get("/poll?room=r&user=eve"))
    let target = "/poll?room=r&user=eve&since=\(start.position)"
    let waiting = try (0..<2).map { _ in try Waiting(server, target) }
    try eventually("the node is full") { try server.http.get(target).status == 503 }
    #expect(try server.http.get(target + "&wait=0").status == 200)
    let statuses = try (0..<40).map { _ in try server.http.get(target + "&wait=0").status }
    #expect(statuses.contains(429))
    server.process.signal(15)
    for poll in waiting { #expect(try Page(try poll.answer()).numbers == []) }
  }

  @Test("a page of a listed origin may read it")
  func origins() throws {
    let server = try RoostProcess(["--origins", "https://app.example"])
    let headers = ["Origin: https://app.example"]
    let start = try server.http.get("/poll?room=r&user=eve", headers: headers)
    #expect(start.header("access-control-allow-origin") == "https://app.example")
    let waiting = try Waiting(server, "/poll?room=r&user=eve&since=\(try Page(start).position)", headers: headers)
    try publish(server, 1)
    #expect(try waiting.answer().header("access-control-allow-origin") == "https://app.example")
    #expect(try server.http.get("/poll?room=r&user=eve", headers: ["Origin: https://evil.example"]).status == 403)
  }
}
