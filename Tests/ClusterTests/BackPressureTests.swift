import TestSupport
import Testing
import WebSocketCore

@Suite("Cluster, back-pressure on publishers", .serialized)
struct BackPressureTests {
  private func residentBytes(_ node: RoostProcess) throws -> Int {
    try Int(node.metric("process_resident_memory_bytes"))
  }

  /// Messages as frames, one behind the other.
  private func frames(count: Int, textBytes: Int) -> [UInt8] {
    let text = String(repeating: "x", count: textBytes)
    var frames: [UInt8] = []
    for n in 0..<count {
      let payload = Array(#"{"type":"message","room":"r","n":\#(n),"text":"\#(text)"}"#.utf8)
      FrameWriter.appendMaskedFrame(.text, key: MaskingKey(0x1234_5678), payload: payload.span, to: &frames)
    }
    return frames
  }

  @Test("slows a fast publisher by its own socket while Redis says nothing, then publishes all of it in order")
  func pausedRedis() throws {
    let cluster = try Cluster(2)
    let clients = try cluster.members(of: "r")
    let fast = clients[0]
    // Shorter than the silence after which the node gives the link up: Redis takes everything in, and answers late.
    _ = try cluster.redis.command("CLIENT PAUSE 1200 ALL")
    for n in 0..<20_000 { try fast.send(#"{"type":"message","room":"r","id":"m\#(n)","n":\#(n)}"#) }
    try fast.send(#"{"type":"message","room":"r","end":"all"}"#)
    let seen = try clients[1].messages(until: "all", within: 60)
    #expect(seen.compactMap { $0.int("n") } == Array(0..<20_000))
    #expect(try cluster.nodes[0].metric("roost_backpressure_pauses_total") >= 1)
    let acks = try fast.settle().filter { $0.type == "ack" }
    #expect(acks.compactMap { $0.string("id") } == (0..<20_000).map { "m\($0)" })
    #expect(acks.compactMap { $0.int("offset") } == Array(1...20_000))
  }

  @Test("stays within its limits while many flood it and Redis has stopped; answers unavailable, and serves on")
  func stoppedRedis() throws {
    let cluster = try Cluster(1)
    let node = cluster.nodes[0]
    let listener = try node.connect("listener")
    try listener.join("r")
    let floods = try (0..<8).map { try node.connect("flood\($0)") }
    for client in floods { try client.join("r") }
    let before = try residentBytes(node)
    cluster.redis.pause()
    // 200 MB in all, of which each connection may leave 256 KiB waiting, and what was read with them.
    let flood = frames(count: 800, textBytes: 30_000)
    var sent = [Int](repeating: 0, count: floods.count)
    var isMoving = true
    while isMoving {
      isMoving = false
      for (index, client) in floods.enumerated() where sent[index] < flood.count {
        let count = try client.connection.sendSome(flood[sent[index]...], within: 0.02)
        sent[index] += count
        if count > 0 { isMoving = true }
      }
    }
    #expect(try node.metric("roost_backpressure_pauses_total") >= 8)
    #expect(sent.allSatisfy { $0 < flood.count }, "the sockets took everything")
    #expect(try residentBytes(node) - before < 24 << 20)
    #expect(try listener.ask(#""type":"ping""#).type == "pong")
    // Redis is given up for dead: what waited is answered, and the connections are read on.
    try listener.expect("degraded")
    for client in floods { try client.expect("error", within: 15) { $0.string("code") == "unavailable" } }
    #expect(try residentBytes(node) - before < 48 << 20)
    cluster.redis.resume()
    try listener.expect("restored", within: 15)
    #expect(try listener.publish("r", #""last":true"#) > 0)
  }
}
