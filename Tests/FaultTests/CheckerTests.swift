import Testing

/// The checker itself: a history with one fault of each kind, and what must be said of it.
@Suite("Faults, the checker")
struct CheckerTests {
  private let epoch = "5f00"

  private func place(_ offset: Int, _ epoch: String = "5f00") -> Place { Place(epoch: epoch, offset: offset) }

  private func records(_ facts: [(String, Fact)]) -> [Record] {
    facts.enumerated().map { Record(at: $0 * 10, who: $1.0, fact: $1.1) }
  }

  private func complaints(_ facts: [(String, Fact)], historySize: Int = 5000) -> [String] {
    StreamCheck(records(facts), historySize: historySize).violations.map(\.promise)
  }

  /// A member that has joined at the beginning of a room.
  private func member(_ name: String) -> [(String, Fact)] {
    [
      (name, .opened(node: "n0")), (name, .joining(room: "r")),
      (name, .joined(room: "r", place(0), since: nil, recovered: nil)),
    ]
  }

  private func message(_ name: String, _ offset: Int, _ body: String, _ epoch: String = "5f00") -> (String, Fact) {
    (name, .message(room: "r", place(offset, epoch), body: body))
  }

  private func notice(_ name: String, _ user: String, _ hasJoined: Bool) -> (String, Fact) {
    (name, .notice(room: "r", user: user, hasJoined: hasJoined))
  }

  @Test("finds nothing in a history without faults")
  func clean() {
    let facts =
      member("a") + member("b") + [
        ("a", .sent(room: "r", body: "m1", echo: true)), message("a", 1, "m1"), message("b", 1, "m1"),
        ("a", .acked(room: "r", body: "m1", place(1))), ("b", .closed(byServer: false, why: "cut")),
        message("a", 2, "m2"), ("b", .joined(room: "r", place(2), since: place(1), recovered: true)),
        message("b", 2, "m2"),
      ]
    #expect(complaints(facts).isEmpty)
  }

  @Test("finds a hole that nobody was told of, and allows one's own message that was not wanted back")
  func hole() {
    #expect(complaints(member("a") + [message("a", 1, "m1"), message("a", 3, "m3")]).count == 1)
    let own: [(String, Fact)] =
      [("a", .sent(room: "r", body: "m1", echo: false))] + member("a") + member("b")
      + [message("b", 1, "m1"), message("b", 2, "m2"), message("a", 2, "m2")]
    #expect(complaints(own).isEmpty)
  }

  @Test("finds a message told twice, a repetition, two orders, and an ack of what never came")
  func order() {
    #expect(complaints(member("a") + [message("a", 1, "m1"), message("a", 1, "m1")]).count == 1)
    #expect(complaints(member("a") + [message("a", 1, "m1"), message("a", 2, "m1")]).count == 1)
    let two = member("a") + member("b") + [message("a", 1, "m1"), message("b", 1, "m2")]
    #expect(complaints(two).contains { $0.hasPrefix("two messages") })
    #expect(complaints(member("b") + [("a", .acked(room: "r", body: "m1", place(1)))]).count == 1)
    // Whoever was there was told of the loss, and whether it could be helped is asked there.
    let lost =
      member("b") + [message("b", 1, "m1"), ("a", .acked(room: "r", body: "m2", place(2)))]
      + [("-", .fault("the clock of Redis set by 3600 s", loses: .history)), ("b", .gap(room: "r", from: 2, to: 3))]
    #expect(complaints(lost).isEmpty)
    #expect(complaints(lost.dropLast()).count == 1)
    // Nobody else was there, and who came later could not resume.
    let late: [(String, Fact)] = [
      ("a", .acked(room: "r", body: "m1", place(1))),
      ("b", .joined(room: "r", place(1), since: nil, recovered: nil)),
    ]
    #expect(complaints(late).isEmpty)
  }

  @Test("finds a loss that history could have prevented, and allows one that it could not")
  func loss() {
    let gap = member("a") + [message("a", 1, "m1"), ("a", .gap(room: "r", from: 2, to: 9)), message("a", 10, "m")]
    #expect(complaints(gap).count == 1)
    let short =
      member("a") + [message("a", 1, "m1"), ("a", .gap(room: "r", from: 2, to: 9))]
      + (10...30).map { message("a", $0, "m\($0)") }
    #expect(complaints(short, historySize: 20).isEmpty)
    let resumed: [(String, Fact)] =
      member("a") + [
        message("a", 1, "m1"), ("a", .closed(byServer: false, why: "cut")),
        ("a", .joined(room: "r", place(9), since: place(1), recovered: false)),
      ]
    #expect(complaints(resumed).count == 1)
  }

  @Test("finds a new epoch without a loss of data, and an old one that comes back")
  func epochs() {
    let renewed = member("a") + [("a", .renewed(room: "r", place(0, "5f01"))), message("a", 1, "m1", "5f01")]
    #expect(complaints(renewed).count == 1)
    let flushed: [(String, Fact)] = [("-", .fault("FLUSHALL", loses: .everything))] + renewed
    #expect(complaints(flushed).isEmpty)
    #expect(complaints(flushed + [("a", .renewed(room: "r", place(0)))]).count == 1)
  }

  @Test("follows an epoch that goes on under another name, and finds what is missing in it")
  func succession() {
    let before = member("a") + member("b") + [message("a", 1, "m1"), message("b", 1, "m1")]
    let failover: [(String, Fact)] = [("-", .fault("failover in step of master 0", loses: .nothing))]
    func told(_ name: String, _ offset: Int) -> (String, Fact) {
      (name, .continued(room: "r", epoch: epoch, place(offset, "5f01")))
    }
    let after = [told("a", 1), message("a", 2, "m2", "5f01")]
    #expect(complaints(before + failover + after).isEmpty)
    #expect(complaints(before + after) == ["a new epoch, though nothing was lost"])
    // What stands up to there has both names.
    #expect(complaints(before + failover + [told("a", 2)]) == ["missed 2 without being told"])
    func resumed(_ offset: Int) -> [(String, Fact)] {
      [
        ("b", .closed(byServer: false, why: "cut")),
        ("b", .joined(room: "r", place(2, "5f01"), since: place(offset), recovered: true)),
      ]
    }
    #expect(complaints(before + failover + after + resumed(1) + [message("b", 2, "m2", "5f01")]).isEmpty)
    let behind = before + failover + after + resumed(0) + [message("b", 2, "m2", "5f01")]
    #expect(complaints(behind) == ["missed 1 without being told"])
    // Whoever was acked something must be told when it is not there.
    let acked: [(String, Fact)] = [("a", .acked(room: "r", body: "m2", place(2)))]
    let unaware = before + failover + acked + [told("a", 1)]
    #expect(complaints(unaware).contains("goes on without what was acked, and nobody says so"))
    let aware = unaware + [("a", .renewed(room: "r", place(1, "5f02")))]
    #expect(!complaints(aware).contains("goes on without what was acked, and nobody says so"))
    // The old one comes back only to whoever goes to a node that has not heard of it yet.
    let back: [(String, Fact)] = [
      ("a", .closed(byServer: false, why: "cut")),
      ("a", .joined(room: "r", place(4), since: place(2, "5f01"), recovered: false)),
    ]
    #expect(complaints(before + failover + after + back) == ["went back to an epoch that was over"])
    let split: [(String, Fact)] = [("-", .fault("failover as it is of master 0", loses: .everything))]
    #expect(complaints(before + split + after + back).isEmpty)
    // Not even then may two messages be at one place.
    let two = [message("a", 2, "m2"), message("b", 2, "m3")]
    #expect(complaints(before + split + two).contains { $0.hasPrefix("two messages") })
  }

  @Test("follows an epoch through another that was never said to go on from it", arguments: [true, false])
  func unseenSuccession(isToldFirst: Bool) {
    /// `a` stands at an offset of an epoch that nobody else saw; the next two are known to `b`.
    func history(_ offset: Int, _ seen: [(String, Fact)]) -> [(String, Fact)] {
      let before =
        member("b") + [message("b", 1, "m1"), ("-", .fault("FLUSHALL", loses: .everything))]
        + [("a", .joined(room: "r", place(0, "5f01"), since: nil, recovered: nil))] + seen
        + [("a", .closed(byServer: false, why: "cut"))]
        + [("-", .fault("SIGSTOP master 0 for 4000 ms", loses: .everything))]
        + [("b", .renewed(room: "r", place(0, "5f02"))), message("b", 1, "m2", "5f02")]
      let told: [(String, Fact)] = [("b", .continued(room: "r", epoch: "5f02", place(1, "5f03")))]
      let resumed: [(String, Fact)] =
        [("a", .joined(room: "r", place(1, "5f03"), since: place(offset, "5f01"), recovered: true))]
        + (offset == 0 ? [message("a", 1, "m2", "5f03")] : [])
      return before + (isToldFirst ? told + resumed : resumed + told)
    }
    #expect(complaints(history(0, [])).isEmpty)
    // What it had there must be what the others have.
    #expect(complaints(history(1, [message("a", 1, "m2", "5f01")])).isEmpty)
    #expect(complaints(history(1, [message("a", 1, "m3", "5f01")])).contains { $0.hasPrefix("two messages") })
  }

  @Test("finds a hang-up of a node that lives, and an error other than unavailable")
  func hangUp() {
    #expect(complaints(member("a") + [("a", .closed(byServer: true, why: "end"))]).count == 1)
    let killed: [(String, Fact)] = [("-", .fault("kill -9 node 0, …", loses: .nothing))]
    #expect(complaints(member("a") + killed + [("a", .closed(byServer: true, why: "end"))]).isEmpty)
    #expect(complaints([("a", .refused(code: "unavailable")), ("a", .refused(code: "internal"))]).count == 1)
  }

  @Test("finds a coming that is told twice, one that is not told, and a leaving that is believed too long")
  func presence() {
    let users = ["a": "a", "b": "b"]
    func complaints(_ facts: [(String, Fact)]) -> Int { PresenceCheck(records(facts), users: users).violations.count }
    let told = member("a") + member("b") + [notice("a", "b", true)]
    #expect(complaints(told) == 0)
    #expect(complaints(member("a") + member("b")) == 1)
    #expect(complaints(told + [notice("a", "b", true)]) == 1)
    #expect(complaints(told + [("b", .closed(byServer: false, why: "cut"))]) == 1)
    #expect(complaints(told + [("b", .closed(byServer: false, why: "cut")), notice("a", "b", false)]) == 0)
    // Whoever was there before needs no word, and none may come.
    #expect(complaints(member("b") + member("a") + [notice("b", "a", true)]) == 0)
    #expect(complaints(member("b") + member("a") + [notice("b", "a", true), notice("a", "b", true)]) == 1)
  }
}
