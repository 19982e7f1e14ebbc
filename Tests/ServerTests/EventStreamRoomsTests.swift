import TestSupport
import Testing

@Suite("One node, event streams of several rooms")
struct EventStreamRoomsTests {
  private func open(
    _ server: RoostProcess, _ query: String, headers: [String] = [], receiveBytes: Int32? = nil
  ) throws -> EventStreamClient {
    try EventStreamClient(port: server.port, "/sse?user=eve&\(query)", headers: headers, receiveBytes: receiveBytes)
  }

  /// Takes the `joined` of each of so many rooms.
  private func rooms(_ count: Int, _ stream: EventStreamClient) throws -> [String?] {
    try (0..<count).map { _ in try stream.expect("joined").json.string("room") }
  }

  @Test("joins in the order asked, each room once, and brings what a socket in all of them gets")
  func events() throws {
    let server = try RoostProcess()
    let stream = try open(server, "room=b&room=a&room=news:*&room=b")
    #expect(try stream.expect("welcome").json.string("user") == "eve")
    #expect(try rooms(3, stream) == ["b", "a", "news:*"])
    let ann = try server.connect("ann")
    for room in ["a", "b", "news:1"] { try ann.join(room) }
    for _ in 0..<2 { #expect(try stream.expect("user_joined").json.string("user") == "ann") }
    for (n, room) in ["a", "b", "a", "news:1"].enumerated() { try ann.publish(room, "\"n\":\(n)") }
    let messages = try (0..<4).map { _ in try stream.expect("message") }
    #expect(try messages.map { try $0.json.int("n") } == [0, 1, 2, 3])
    // What a wildcard brings has no place to resume at, so it leaves the id as it was.
    #expect(messages.map { $0.id?.first } == ["~", "~", "~", nil])
    #expect(try server.metric(#"roost_connections{transport="sse"}"#) == 1)
    _ = try ann.ask(#""type":"direct","to":"eve","n":1"#)
    let direct = try stream.expect("message")
    #expect(try direct.json.type == "direct" && direct.id == nil)
  }

  @Test("without rooms it brings what is for the user and for everyone")
  func noRooms() throws {
    let server = try RoostProcess()
    let stream = try EventStreamClient(port: server.port, "/sse?user=eve")
    _ = try stream.expect("welcome")
    let ann = try server.connect("ann")
    _ = try ann.ask(#""type":"broadcast","n":2"#)
    #expect(try stream.expect("message").json.type == "broadcast")
  }

  @Test("resumes every room by one id, wherever it broke off, and loses and repeats nothing")
  func resume() throws {
    let server = try RoostProcess(["--history-size", "2000"])
    let ann = try server.connect("ann")
    let names = ["a", "b", "c"]
    for name in names { try ann.join(name) }
    var seen: [String: [Int]] = [:]
    var published = 0
    var lastID: String?
    for round in 0..<12 {
      // A small window, so that streams break off in the middle of events.
      let stream = try open(
        server, "room=a&room=b&room=c&room=w:*", headers: lastID.map { ["Last-Event-ID: \($0)"] } ?? [],
        receiveBytes: 4096)
      var joined: [String] = []
      while joined.count < 3, let event = stream.next() {
        try note(event, &seen)
        if event.name == "joined" { joined.append(event.data) }
      }
      #expect(joined.count == 3 && (round == 0 || joined.allSatisfy { $0.contains(#""recovered":true"#) }), "\(joined)")
      for _ in 0..<30 {
        let text = String(repeating: "x", count: published % 700)
        try ann.send(#"{"type":"message","room":"\#(names[published % 3])","n":\#(published),"text":"\#(text)"}"#)
        published += 1
      }
      _ = try ann.settle()
      for _ in 0..<(round * 2) { try note(try #require(stream.next()), &seen) }
      lastID = stream.lastEventID ?? lastID
      // What came with the last read and was not looked at: a browser has dispatched it.
      while let event = stream.next(within: 0) { try note(event, &seen) }
      lastID = stream.lastEventID ?? lastID
      stream.connection.closeNow()
    }
    let last = try open(server, "room=a&room=b&room=c", headers: ["Last-Event-ID: \(try #require(lastID))"])
    while seen.values.reduce(0, { $0 + $1.count }) < published {
      try note(try #require(last.next(), "\(seen) of \(published)"), &seen)
    }
    for name in names { #expect(seen[name] == Array(1...(published / 3)), "\(name): \(seen[name] ?? [])") }
  }

  private func note(_ event: EventStreamClient.Event, _ seen: inout [String: [Int]]) throws {
    guard event.name == "message" else { return }
    let message = try event.json
    seen[message.string("room") ?? "", default: []].append(message.int("offset") ?? 0)
  }

  @Test("an id that is not of these rooms says so for each of them, and harms nothing")
  func unknownIDs() throws {
    let server = try RoostProcess()
    for id in ["what", "~", "~AAAAAAAAAAAAAB", "ff:3", String(repeating: "~.", count: 3000)] {
      let stream = try open(server, "room=a&room=b&room=w:*", headers: ["Last-Event-ID: \(id)"])
      for _ in 0..<3 { #expect(try stream.expect("joined").data.contains(#""recovered":false"#)) }
    }
    // A page that adds a room resumes those that it had.
    let first = try open(server, "room=a&room=b")
    for _ in 0..<2 { _ = try first.expect("joined") }
    _ = try server.admin("POST", "publish", body: #"{"room":"a","data":{"n":1}}"#)
    let id = try #require(try first.expect("message").id)
    let more = try open(server, "room=c&room=b&room=a&last-event-id=\(id)")
    let recovered = try (0..<3).map { _ in try more.expect("joined").data.contains(#""recovered":true"#) }
    #expect(recovered == [false, true, true])
    #expect(
      try server.http.get("/sse?user=eve&room=a", headers: ["Last-Event-ID: " + String(repeating: "x", count: 17_000)])
        .status == 431)
  }

  @Test("is refused before it begins for rooms that cannot be, and for too many")
  func refused() throws {
    let server = try RoostProcess(["--max-rooms", "3"])
    for (query, code) in [
      ("room=a&room=", "bad_room"), ("room=*", "bad_room"), ("room=a&room=%01", "bad_room"),
      ("room=a&room=b&room=c&room=d", "too_many_rooms"), ("room=" + String(repeating: "x", count: 201), "bad_room"),
    ] {
      let answer = try server.http.get("/sse?user=eve&\(query)")
      #expect(answer.status == 400 && answer.text.contains(code), "\(query): \(answer)")
    }
  }

  @Test("a room that cannot be joined after the stream began ends it with 1013")
  func joinFails() throws {
    let server = try RoostProcess(["--max-wildcards", "1"])
    let stream = try open(server, "room=a&room=x:*&room=y:*&room=z")
    #expect(try rooms(2, stream) == ["a", "x:*"])
    #expect(try stream.expect("error").data.contains("too_many_rooms"))
    let ending = try stream.readToEnd()
    #expect(ending.last?.name == "close" && ending.last?.data.contains("1013") == true, "\(ending)")
    #expect(!ending.contains { $0.name == "joined" })
  }

  @Test("ids of very many rooms come with the last message of a batch")
  func manyRooms() throws {
    let server = try RoostProcess(["--max-rooms", "256"])
    let names = (0..<256).map { "r\($0)" }
    let stream = try open(server, names.map { "room=\($0)" }.joined(separator: "&"))
    #expect(try rooms(256, stream) == names)
    let ann = try server.connect("ann")
    try ann.join("r7")
    for n in 1...100 { try ann.send(#"{"type":"message","room":"r7","n":\#(n)}"#) }
    let messages = try (1...100).map { _ in try stream.expect("message") }
    #expect(messages.last?.id != nil)
    let id = try #require(messages.last?.id)
    #expect(id.utf8.count < 256 * 18)
    let again = try open(
      server, names.map { "room=\($0)" }.joined(separator: "&"), headers: ["Last-Event-ID: \(id)"])
    for _ in names { #expect(try again.expect("joined").data.contains(#""recovered":true"#)) }
    try ann.publish("r7", #""n":101"#)
    #expect(try again.expect("message").json.int("n") == 101)
  }

  @Test("a stream that breaks off among many joins resumes those that were told, from where they were joined")
  func cutJoins() throws {
    let server = try RoostProcess(["--max-rooms", "256"])
    let query = (0..<256).map { "room=r\($0)" }.joined(separator: "&")
    var idBytes = 0
    for cut in [1, 50, 64, 65, 90, 128, 200, 255, 256] {
      let stream = try open(server, query)
      var (id, joined): (String?, [String]) = (nil, [])
      while joined.count < cut {
        let event = try #require(stream.next())
        id = event.id ?? id
        idBytes += event.id?.utf8.count ?? 0
        if event.name == "joined" { joined.append(try event.json.string("room") ?? "") }
      }
      stream.connection.closeNow()
      let rooms = joined.map { "\"\($0)\"" }.joined(separator: ",")
      let published = try server.admin("POST", "publish", body: #"{"rooms":[\#(rooms)],"data":{"cut":\#(cut)}}"#)
      #expect(published.status == 200)
      let again = try open(server, query, headers: ["Last-Event-ID: \(try #require(id))"])
      var missing = Set(joined)
      while !missing.isEmpty {
        let event = try #require(again.next(), "after \(cut): \(missing)")
        if event.name == "message", try event.json.int("cut") == cut {
          missing.remove(try event.json.string("room") ?? "")
        }
      }
      if cut == 256 { #expect(idBytes > 0) } else { idBytes = 0 }
    }
    // With an id for each join it would be half a megabyte.
    #expect(idBytes < 64 * 1024)
  }

  @Test("a page of a listed origin may read streams, and ask before it sends")
  func origins() throws {
    let server = try RoostProcess(["--origins", "https://app.example"])
    let stream = try EventStreamClient(
      port: server.port, "/sse?user=eve&room=a", headers: ["Origin: https://app.example"])
    #expect(stream.head.contains("Access-Control-Allow-Origin: https://app.example"))
    #expect(try server.http.get("/sse?user=eve&room=a", headers: ["Origin: https://evil.example"]).status == 403)
    for path in ["/sse", "/send", "/poll"] {
      let answer = try server.http.ask(
        "OPTIONS", path, headers: ["Origin: https://app.example", "Access-Control-Request-Method: POST"])
      #expect(answer.status == 204 && answer.header("access-control-allow-methods")?.contains("POST") == true)
      #expect(answer.header("access-control-allow-headers")?.contains("If-None-Match") == true)
    }
  }
}
