import Glibc
import TestSupport
import Testing

@Suite("Cluster, what nodes log of each other")
struct NodeLogTests {
  @Test("a node logs at info which nodes join the cluster and leave it")
  func joinAndLeave() throws {
    let cluster = try Cluster(1)
    let first = cluster.nodes[0].process
    _ = try first.line(with: "this node has joined the cluster", within: 30)
    let second = try Cluster.node("n2", on: cluster.redis, ["--drain", "0"])
    let joined = try Received(try first.line(with: "a node has joined the cluster", within: 30))
    #expect(joined.string("peer") == "n2")
    #expect(joined.int("nodes") == 2)
    second.process.signal(SIGKILL)
    let left = try Received(try first.line(with: "a node has left the cluster", within: 30))
    #expect(left.string("peer") == "n2")
    #expect(left.int("nodes") == 1)
  }
}
