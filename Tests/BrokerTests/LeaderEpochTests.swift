import Testing

@testable import RedisBackend

/// The scripts that give masters their leader epochs, run by a real Redis under the names of several masters.
@Suite("Leader epochs of masters behind sentinels")
struct LeaderEpochTests {
  private let redis: RedisServer

  init() throws { redis = try RedisServer() }

  /// The first line of a script's reply.
  private func run(_ script: Script, _ keys: [String], _ arguments: [String]) throws -> String {
    let source = String(decoding: script.source, as: UTF8.self)
    let reply = try #require(redis.run(["EVAL", source, "\(keys.count)"] + keys + arguments))
    return String(reply.prefix { $0 != "\n" })
  }

  @discardableResult
  private func leader(_ server: String, from before: String = "") throws -> String {
    try run(.leaderEpoch, ["leader"], [server, before])
  }

  /// Publishes as a node that knows no epoch, or one. Returns the position, or the offset.
  @discardableResult
  private func publish(_ epoch: String = "rleader") throws -> String {
    try run(.publish, ["meta", "log"], ["ch", "M 1 o u\n", epoch, ""])
  }

  private func compare(_ epoch: Substring, _ offset: Int) throws -> String {
    try run(.verifyPosition, ["meta", "log"], ["60000", String(epoch), "\(offset)", "0", "leader"])
  }

  private func history() throws -> String {
    try run(.history, ["meta", "log"], ["60000", "100", "0", "0", "leader"])
  }

  private func epoch(_ position: String) -> Substring { position.prefix { $0 != ":" } }

  @Test("keeps a name for all who come to one master, and finds another for the next, for one that returns too")
  func names() throws {
    let first = try leader("runAAAAArepl0001")
    #expect(try leader("runAAAAArepl0001") == first)
    let second = try leader("runBBBBBrepl0002", from: first)
    #expect(second != first)
    #expect(try leader("runBBBBBrepl0002", from: first) == second)
    #expect(try leader("runBBBBBrepl0002", from: second) == second)
    // Promoted again after it followed another one on which nobody was.
    let third = try leader("runBBBBBrepl0003", from: second)
    #expect(third != second)
    #expect(try leader("runBBBBBrepl0003", from: first) == third)
    // Made the master again by the sentinels, and never demoted: a node that comes from a later leader epoch ends its own.
    let later = "runCCCCCrepl0004-\(String(repeating: "f", count: 13))"
    #expect(try leader("runBBBBBrepl0003", from: later) != third)
  }

  @Test("begins an epoch with the first message of a leader epoch, which continues the one before")
  func succession() throws {
    try leader("runAAAAArepl0001")
    let first = try publish()
    let old = epoch(first)
    #expect(first == "\(old):1")
    #expect(try publish() == "\(old):2")
    #expect(try publish(String(old)) == "3")
    try leader("runBBBBBrepl0002")
    let second = try publish()
    let new = epoch(second)
    #expect(new != old && second == "\(new):4")
    #expect(try publish() == "\(new):5")
    // Who still names the old one counts in the new one.
    #expect(try publish(String(old)) == "\(new):6")
    #expect(try history() == "\(new):6 \(old):3")
  }

  @Test("marks what a master lacks of what was heard or acknowledged, once, whoever comes first")
  func loss() throws {
    try leader("runAAAAArepl0001")
    let old = epoch(try publish())
    try leader("runBBBBBrepl0002")
    #expect(try compare(old, 1) == "\(old):1")
    let next = epoch(try compare(old, 3))
    #expect(next != old)
    #expect(try history() == "\(next):1 !\(old):1")
    #expect(try compare(old, 3) == "\(next):1")
    try leader("runCCCCCrepl0003")
    // A message came before anybody could say that one is missing.
    let after = epoch(try publish())
    #expect(try history() == "\(after):2 \(next):1 !\(old):1")
    let told = epoch(try compare(next, 5))
    #expect(told != after)
    #expect(try history() == "\(told):2 !\(after):2 \(next):1 !\(old):1")
    #expect(try compare(next, 7) == "\(told):2")
    // An epoch that this master has never heard of says nothing more in the same leader epoch, and begins another epoch in the next.
    #expect(try compare("5f00", 9) == "\(told):2")
    try leader("runDDDDDrepl0004")
    #expect(epoch(try compare("5f00", 9)) != told)
  }
}
