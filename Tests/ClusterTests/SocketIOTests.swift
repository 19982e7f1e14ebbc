import TestSupport
import Testing

/// Socket.IO connections whose polls reach any node.
@Suite("Socket.IO across nodes", .serialized)
struct SocketIOTests {
  /// A client that polls the node that it is given each time.
  private struct Poller {
    let sid: String

    init(_ node: RoostProcess) throws {
      let answer = try node.http.get("/socket.io/?EIO=4&transport=polling")
      sid = String(try #require(answer.text.split(separator: "\"").dropFirst(3).first))
    }

    private var path: String { "/socket.io/?EIO=4&transport=polling&sid=\(sid)" }

    func poll(_ node: RoostProcess) throws -> [String] {
      let answer = try node.http.ask("GET", path, within: 20)
      guard answer.status == 200 else { throw TestFailure("\(answer.status) \(answer.text)") }
      return answer.text.split(separator: "\u{1E}").map(String.init)
    }

    func post(_ node: RoostProcess, _ packets: String...) throws -> Int {
      try node.http.ask("POST", path, body: packets.joined(separator: "\u{1E}")).status
    }

    /// The status of a handshake that upgrades.
    func upgrade(_ node: RoostProcess) throws -> Int {
      let headers = [
        "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ]
      return try node.http.get(path.replacing("polling", with: "websocket"), headers: headers).status
    }
  }

  @Test("gives each event once and in order, whichever node gets the polls and the packets")
  func anyNode() throws {
    let redis = try RedisProcess()
    let nodes = try Cluster.nodes(3, on: redis.url)
    let poller = try Poller(nodes[0])
    #expect(try poller.post(nodes[1], #"40{"user":"ann"}"#) == 200)
    #expect(try poller.poll(nodes[2]).first?.hasPrefix("40{") == true)
    var seen: [Int] = []
    func take(_ packets: [String]) {
      for packet in packets where packet.hasPrefix(#"42["n","#) {
        seen.append(Int(packet.dropFirst(7).prefix { $0 != "," }) ?? -1)
      }
    }
    for n in 1...20 {
      #expect(try poller.post(nodes[n % 3], #"42["n",\#(n)]"#) == 200)
      take(try poller.poll(nodes[(n + 1) % 3]))
    }
    while seen.count < 20 { take(try poller.poll(nodes[1])) }
    #expect(seen == Array(1...20))
    let presence = try nodes[2].admin("GET", "presence/socketio").text
    #expect(presence.contains(#""transport":"socketio""#), "\(presence)")
    #expect(try nodes.map { try $0.metric(#"roost_connections{transport="socketio"}"#) } == [1, 0, 0])
    // An upgrade needs the node that has the connection: the client goes on with polls.
    #expect(try poller.upgrade(nodes[1]) == 400)
    #expect(try poller.post(nodes[1], "3") == 200)
    #expect(try poller.post(nodes[2], "1") == 200)
    #expect(try poller.post(nodes[1], "3") == 400)
  }

  @Test("tells a client whose node has ended that its session is unknown, so that it connects again")
  func endedNode() throws {
    let redis = try RedisProcess()
    let nodes = try Cluster.nodes(2, on: redis.url)
    let poller = try Poller(nodes[0])
    #expect(try poller.post(nodes[1], "40") == 200)
    nodes[0].process.kill()
    try eventually("the session is unknown") { try poller.post(nodes[1], "3") == 400 }
  }
}
