import JSONCore
import TestSupport
import Testing

/// Real nodes on a Redis whose clock is set while they run.
@Suite("A clock that is set", .serialized)
struct ClockTests {
  private let clock: ProcessClock
  private let redis: RedisProcess
  private let nodes: [RoostProcess]

  init() throws {
    let clock = try ProcessClock()
    let redis = try RedisProcess(environment: clock.environment())
    nodes = try (1...2).map { try Cluster.node("n\($0)", on: redis) }
    (self.clock, self.redis) = (clock, redis)
    for node in nodes { try node.awaitReady() }
  }

  /// When a node's lease ends, in milliseconds of the clock of Redis.
  private func lease(_ node: String) throws -> Int {
    let reply = try redis.command("ZSCORE roost:3:{nodes}:leases \(node)").split(whereSeparator: \.isNewline)
    return reply.count == 2 ? Int(reply[1]) ?? 0 : 0
  }

  @Test("believes nobody gone when the clock of Redis is set forward by an hour, and loses no message")
  func forward() throws {
    let clients = try nodes.enumerated().map { try $1.connect("u\($0 + 1)") }
    for client in clients { try client.join("r") }
    try clients[0].expect("user_joined")
    try clients[0].publish("r", #""end":"before""#)
    try clients[1].expect("message") { $0.string("end") == "before" }
    let before = try lease("n1")
    try clock.jump(milliseconds: 3_600_000)
    // Three renewals later everyone would have been swept who was going to be.
    for _ in 0..<3 {
      let known = try (lease("n1"), lease("n2"))
      try eventually("both renew") { try lease("n1") != known.0 && lease("n2") != known.1 }
    }
    #expect(try lease("n1") > before + 3_590_000)
    try clients[0].publish("r", #""end":"after""#)
    try clients[1].expect("message") { $0.string("end") == "after" }
    for client in clients { #expect(!client.takeUnread().contains { "\($0)".contains("user_") }) }
    for node in nodes { #expect(try node.inspect("presence/r")["users"]?.asInt == 2) }
  }

  @Test("ends the presence of a killed node's users within 10 s though the clock of Redis was set back by an hour")
  func back() throws {
    let (gone, watcher) = (try nodes[0].connect("u1"), try nodes[1].connect("u2"))
    try watcher.join("r")
    try gone.join("r")
    try watcher.expect("user_joined")
    nodes[0].process.kill()
    try clock.jump(milliseconds: -3_600_000)
    try watcher.expect("user_left", within: 10)
    try eventually("the dead node is forgotten") { try lease("n1") == 0 }
    #expect(try nodes[1].inspect("presence/r")["users"]?.asInt == 1)
  }
}
