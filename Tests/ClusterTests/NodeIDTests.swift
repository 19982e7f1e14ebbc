import Glibc
import JSONCore
import TestSupport
import Testing

/// Two processes with one node id on every kind of Redis: the second must not remove what the first has.
@Suite("One node id, two processes", .serialized)
struct NodeIDTests {
  enum Kind: CaseIterable { case single, sentinel, cluster }

  /// A Redis of some kind, alive as long as the value.
  private struct Store {
    let url: String
    private let processes: AnyObject

    init(_ kind: Kind) throws {
      switch kind {
      case .single:
        let redis = try RedisProcess()
        (url, processes) = (redis.url, redis)
      case .sentinel:
        let trio = try SentinelTrio()
        (url, processes) = (trio.url, trio)
      case .cluster:
        let cluster = try RedisClusterProcesses()
        (url, processes) = (cluster.url, cluster)
      }
    }

    func node(_ id: String) throws -> RoostProcess {
      try RoostProcess(["--node-id", id, "--redis", url, "--workers", "1", "--drain", "1s", "--leave-grace", "0s"])
    }
  }

  private func expectRefused(_ node: RoostProcess) throws {
    _ = try node.process.line(with: #"another process has the node id \"twin\""#)
    try eventually("the second is not ready, and says why") {
      let answer = try node.http.get("/readyz")
      return answer.status == 503 && answer.text.contains("--node-id")
    }
  }

  @Test(
    "serves nothing in the second, harms the first in nothing, and takes over when that has ended",
    arguments: Kind.allCases)
  func twins(_ kind: Kind) throws {
    let store = try Store(kind)
    let (first, witness) = (try store.node("twin"), try store.node("witness"))
    for node in [first, witness] { try node.awaitReady() }
    let (ann, bob) = (try first.connect("ann"), try witness.connect("bob"))
    for client in [ann, bob] { try client.join("r") }
    let second = try store.node("twin")
    try expectRefused(second)
    #expect(try second.connect("eve").ask(#""type":"join","room":"r""#).string("code") == "unavailable")
    // As long as a renewal, so that each has had its chance to spoil something.
    for n in 1...10 {
      try ann.insist(n, in: "r")
      #expect(try bob.expect("message").int("n") == n)
      usleep(250_000)
    }
    #expect(try first.http.get("/readyz").status == 200)
    #expect(try witness.inspect("presence/r")["users"]?.asInt == 2)
    #expect(try !bob.settle().contains { $0.type == "user_left" })
    first.process.signal(SIGTERM)
    try second.awaitReady(within: 20)
    let returned = try second.connect("ann")
    #expect(try returned.ask(#""type":"join","room":"r""#).type == "joined")
    try eventually("presence is whole") { try witness.inspect("presence/r")["users"]?.asInt == 2 }
    withExtendedLifetime((store, returned)) {}
  }

  @Test(
    "starts again at once after a kill, for the process that had the id is known to have ended",
    arguments: Kind.allCases)
  func killed(_ kind: Kind) throws {
    let store = try Store(kind)
    let first = try store.node("twin")
    try first.awaitReady()
    let ann = try first.connect("ann")
    try ann.join("r")
    first.process.kill()
    let second = try store.node("twin")
    try second.awaitReady()
    #expect(!second.process.output.contains("another process has"))
    #expect(try second.inspect("presence/r")["users"]?.asInt == 0)
    withExtendedLifetime(store) {}
  }

  @Test("waits for the lease of a process that stands still, which then finds that it has lost its id")
  func stopped() throws {
    let store = try Store(.single)
    let first = try store.node("twin")
    try first.awaitReady()
    let ann = try first.connect("ann")
    try ann.join("r")
    first.process.signal(SIGSTOP)
    let second = try store.node("twin")
    try expectRefused(second)
    try second.awaitReady(within: 20)
    let bob = try second.connect("bob")
    try bob.join("r")
    first.process.signal(SIGCONT)
    try expectRefused(first)
    try ann.expect("degraded")
    #expect(try second.http.get("/readyz").status == 200)
    #expect(try second.inspect("presence/r")["users"]?.asInt == 1)
    second.process.kill()
    // It takes its id back, and enters its members anew.
    try first.awaitReady(within: 20)
    try eventually("presence is whole") {
      try first.inspect("presence/r")["members"]?.asArray?.compactMap { $0["user"]?.asString } == ["ann"]
    }
    withExtendedLifetime(store) {}
  }
}
