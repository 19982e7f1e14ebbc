import Glibc
import JSONCore
import TestSupport
import Testing
import WebSocketCore

@Suite("Cluster, large reads and backlogs", .serialized)
struct ClusterPacedReadTests {
  private func publish(_ client: WebSocketClient, _ numbers: ClosedRange<Int>, bytes: Int) throws {
    let text = String(repeating: "x", count: bytes)
    for n in numbers { try client.publish("r", "\"n\":\(n),\"text\":\"\(text)\"") }
  }

  private func numbers(_ client: WebSocketClient, through last: Int) throws -> [Int] {
    try client.expect("message", within: 60) { $0.int("n") == last }
    return client.takeUnread().compactMap { event -> Int? in
      guard case .text(let text) = event, let received = try? Received(text), received.type == "message" else {
        return nil
      }
      return received.int("n")
    }
  }

  @Test("many histories that one client asks for at once leave Redis and the others in peace, and are all answered")
  func histories() throws {
    let cluster = try Cluster(2, ["--max-message", "128k"])
    let ann = try cluster.nodes[0].connect("ann")
    try ann.join("r")
    try publish(ann, 1...100, bytes: 65_000)
    let others = try cluster.members(of: "other")
    let asker = try cluster.nodes[0].connect("asker", receiveBytes: 65_536)
    let before = try used(cluster)
    var operations: [UInt8] = []
    for n in 0..<30 {
      let payload = Array(#"{"type":"history","room":"r","id":"h\#(n)"}"#.utf8)
      FrameWriter.appendMaskedFrame(.text, key: MaskingKey(0x1234_5678), payload: payload.span, to: &operations)
    }
    try asker.connection.send(operations)
    var peak = 0
    for n in 0..<30 {
      _ = try asker.take("answer \(n)", within: 60) {
        if case .text(let text) = $0 { text.hasPrefix(#"{"type":"history","id":"h\#(n)""#) } else { false }
      }
      peak = max(peak, try used(cluster))
    }
    #expect(peak - before < 16 << 20, "Redis held \(peak - before) bytes more")
    #expect(try others[1].publish("other", #""n":1"#) == 1)
    for client in others { #expect(try !client.settle().contains { $0.type == "degraded" }) }
  }

  private func used(_ cluster: Cluster) throws -> Int {
    let text = try cluster.redis.command("INFO memory")
    let line = text.split(whereSeparator: \.isNewline).first { $0.contains("used_memory:") }
    return try #require(line?.split(separator: ":").last.flatMap { Int($0) }, "\(text)")
  }

  @Test("a member of a node that stood still gets the whole backlog, though it reads slowly, and stays connected")
  func stoppedNode() throws {
    let cluster = try Cluster(2, ["--history-size", "300"])
    let clients = try cluster.members(of: "r")
    let slow = try cluster.nodes[0].connect("slow", receiveBytes: 65_536)
    try slow.join("r")
    cluster.nodes[0].process.signal(SIGSTOP)
    try publish(clients[1], 1...150, bytes: 60_000)
    // What is older than this counts as a backlog.
    usleep(2_500_000)
    cluster.nodes[0].process.signal(SIGCONT)
    #expect(try numbers(clients[0], through: 150) == Array(1...149))
    #expect(try numbers(slow, through: 150) == Array(1...149))
    let late = try cluster.nodes[1].connect("late")
    try late.join("r")
    _ = try late.publish("r", #""n":151"#)
    try slow.expect("message") { $0.int("n") == 151 }
    #expect(try cluster.nodes[0].metric("roost_slow_consumers_total") == 0)
  }

  @Test("a member that reads slowly gets what an outage of Redis held back, and stays connected")
  func outage() throws {
    let cluster = try Cluster(2, ["--history-size", "300"])
    let clients = try cluster.members(of: "r")
    let slow = try cluster.nodes[0].connect("slow", receiveBytes: 65_536)
    try slow.join("r")
    // The first node loses what is published while its connections are gone.
    cluster.nodes[0].process.signal(SIGSTOP)
    _ = try cluster.redis.command("CLIENT KILL TYPE pubsub")
    try eventually("the other node is back", within: 20) {
      (try? cluster.redis.command("PUBSUB NUMSUB roost:3:{r:r}:ch").contains("1")) == true
    }
    try publish(clients[1], 1...150, bytes: 60_000)
    cluster.nodes[0].process.signal(SIGCONT)
    #expect(try numbers(clients[0], through: 150) == Array(1...149))
    #expect(try numbers(slow, through: 150) == Array(1...149))
    #expect(try cluster.nodes[0].metric("roost_slow_consumers_total") == 0)
  }

  @Test("presence of a room of 10,000 users comes in pages of which each is whole")
  func crowd() throws {
    let cluster = try Cluster(1)
    let ann = try cluster.nodes[0].connect("ann", receiveBytes: 4096)
    let member = #"{\"user\":\"%s\",\"transport\":\"websocket\",\"address\":\"127.0.0.1\",\"since\":1}"#
    let script =
      "for i = 1, 10000 do local user, name = string.format('user%05d', i), 'n1-x' .. i "
      + "redis.call('HSET', KEYS[1], name, string.format('\(member)', user)) "
      + "redis.call('HSET', KEYS[2], user, 1) redis.call('ZADD', KEYS[3], 0, user .. string.char(0) .. name) end"
    _ = try cluster.redis.command(
      "EVAL \"\(script)\" 3 roost:3:{r:r}:members roost:3:{r:r}:users roost:3:{r:r}:order")
    try ann.join("r")
    var seen: [String] = []
    var members = #","limit":10000"#
    repeat {
      let answer = try ann.ask(#""type":"presence","room":"r"\#(members)"#, within: 60)
      #expect(answer.int("count") == 10_001)
      seen += answer["members"]?.asArray?.compactMap { $0["user"]?.asString } ?? []
      guard answer["more"]?.asBool == true else { break }
      members = #","after":"\#(seen.last ?? "")""#
    } while seen.count < 20_000
    let others: [String] = (1...10_000).map { n in "user\(String(100_000 + n).dropFirst())" }
    #expect(seen == ["ann"] + others)
    let usual = try ann.ask(#""type":"presence","room":"r""#, within: 60)
    #expect(usual["members"]?.asArray?.count == 1000 && usual["more"]?.asBool == true)
  }
}
