import Glibc
import TestSupport
import Testing

/// The law of presence as real clients see it: a client that starts from `joined` and `presence` and applies every notice
/// is equal to the truth whenever its rooms are quiet for a second.
///
/// `make presence` runs it with 300 clients; a run of all tests has fewer, and only the way in which the large room is told
/// in sum while the small ones are told one by one.
@Suite("Presence is the truth for real clients", .serialized)
struct PresenceLawTests {
  private static let asked = getenv("PRESENCE_CLIENTS").flatMap { Int(String(cString: $0)) }

  @Test("on one node, for users who join at the same moment", arguments: [50, 300])
  func oneNode(users: Int) throws {
    let crowd = try PresenceCrowd(users, nodes: 1, hasRedis: false, [], seed: 1)
    try crowd.joinAll()
    try crowd.expectLaw("\(users) users joined", within: 20)
  }

  @Test("on three nodes, whatever breaks", arguments: asked == nil ? [50] : [500, 50])
  func cluster(announceMax: Int) throws {
    let flags = [
      "--presence-announce-max", "\(announceMax)", "--presence-interval", "300ms", "--drain", "1s", "--leave-grace",
      "1s",
    ]
    let crowd = try PresenceCrowd(PresenceLawTests.asked ?? 90, nodes: 3, flags, seed: 2)
    try crowd.joinAll()
    try crowd.expectLaw("all joined", within: 20)
    try crowd.churn(20)
    try crowd.expectLaw("churned", within: 20)

    try crowd.gather()
    try crowd.killNode()
    try crowd.expectLaw("a node was killed", within: 25)
    try crowd.addNode("n4")
    try crowd.gather()
    try crowd.drainNode()
    try crowd.expectLaw("a node was drained", within: 25)
    try crowd.addNode("n5")
    try crowd.gather()
    try crowd.expectLaw("all are back", within: 20)

    _ = try crowd.redis?.command("FLUSHALL")
    try crowd.awaitRedis(within: 10)
    try crowd.expectLaw("Redis was emptied at rest", within: 10)
    try crowd.churn(5)
    _ = try crowd.redis?.command("FLUSHALL")
    try crowd.churn(5)
    try crowd.expectLaw("Redis was emptied in traffic", within: 25)

    crowd.redis?.kill()
    try crowd.churn(5)
    try crowd.redis?.restart()
    for node in crowd.nodes { try node.awaitReady() }
    try crowd.churn(5)
    try crowd.expectLaw("Redis came back empty", within: 25)
    try crowd.gather()
    try crowd.expectLaw("all joined again", within: 20)
  }
}
