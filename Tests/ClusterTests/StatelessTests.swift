import JSONCore
import TestSupport
import Testing

@Suite("Cluster, event streams and polls on any node", .serialized)
struct StatelessTests {
  @Test("a stream of several rooms whose node is killed resumes on the other one, and loses and repeats nothing")
  func streams() throws {
    let redis = try RedisProcess()
    let nodes = try Cluster.nodes(3, on: redis.url, ["--history-size", "5000"])
    let ann = try nodes[2].connect("ann")
    let names = ["a", "b", "c", "d"]
    for name in names { try ann.join(name) }
    var seen: [String: [Int]] = [:]
    var published = 0
    var lastID: String?
    let target = "/sse?user=eve&" + names.map { "room=\($0)" }.joined(separator: "&")
    for round in 0..<2 {
      let headers = lastID.map { ["Last-Event-ID: \($0)"] } ?? []
      let stream = try EventStreamClient(port: nodes[round].port, target, headers: headers, receiveBytes: 4096)
      for _ in names { try take(stream, until: "joined", &seen) }
      let publish = {
        let text = String(repeating: "x", count: published % 1500)
        try ann.send(#"{"type":"message","room":"\#(names[published % 4])","text":"\#(text)"}"#)
        published += 1
      }
      for _ in 0..<100 { try publish() }
      for _ in 0..<20 { try take(stream, until: "message", &seen) }
      // The node dies in the middle of it.
      nodes[round].process.signal(9)
      for _ in 0..<60 { try publish() }
      while let event = stream.next(within: 5) { try note(event, &seen) }
      lastID = stream.lastEventID
      if round == 0 { #expect(seen.values.reduce(0) { $0 + $1.count } < published) }
    }
    let last = try Cluster.node("n9", on: redis)
    let stream = try EventStreamClient(port: last.port, target + "&last-event-id=\(try #require(lastID))")
    while seen.values.reduce(0, { $0 + $1.count }) < published {
      let event = try #require(stream.next(within: 15))
      if event.name == "joined" { #expect(event.data.contains(#""recovered":true"#), "\(event)") }
      try note(event, &seen)
    }
    for name in names { #expect(seen[name] == Array(1...(published / 4)), "\(name): \(seen[name] ?? [])") }
  }

  private func take(_ stream: EventStreamClient, until name: String, _ seen: inout [String: [Int]]) throws {
    while true {
      let event = try #require(stream.next())
      try note(event, &seen)
      if event.name == name { return }
    }
  }

  private func note(_ event: EventStreamClient.Event, _ seen: inout [String: [Int]]) throws {
    guard event.name == "message" else { return }
    let message = try event.json
    seen[message.string("room") ?? "", default: []].append(message.int("offset") ?? 0)
  }

  @Test("polls go on over any node, also when one is killed between them")
  func polls() throws {
    let cluster = try Cluster(2)
    let ann = try cluster.nodes[0].connect("ann")
    try ann.join("r")
    var position = try position(try cluster.nodes[0].http.get("/poll?room=r&user=eve"))
    var numbers: [Int] = []
    for n in 1...20 {
      let connection = try TCPConnection(port: cluster.nodes[n % 2].port)
      try connection.send(HTTPClient.request("GET", "/poll?room=r&user=eve&since=\(position)"))
      try ann.publish("r", "\"n\":\(n)")
      let answer = try HTTPClient.readAnswer(connection)
      numbers += try #require(answer.json()["messages"]?.asArray).compactMap { $0["n"]?.asInt }
      position = try self.position(answer)
    }
    #expect(numbers == Array(1...20))
    try ann.publish("r", "\"n\":21")
    cluster.nodes[0].process.signal(9)
    let answer = try cluster.nodes[1].http.get("/poll?room=r&user=eve&since=\(position)")
    #expect(answer.text.contains(#""n":21"#) && answer.text.contains(#""recovered":true"#))
  }

  private func position(_ answer: HTTPAnswer) throws -> String {
    let json = try answer.json()
    return "\(try #require(json["epoch"]?.asString)):\(try #require(json["offset"]?.asInt))"
  }
}
