import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// What every broker promises of presence beyond joins and leaves: info, grace, state, pages, batches.
@Suite(.serialized)
struct PresenceContractTests {
  // MARK: Info

  @Test("carries the info of a user who joins", arguments: BrokerKind.allCases)
  func info(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    _ = try node.enter(node.member("ann", info: #"{"color":[1,2]}"#))
    _ = try node.enter(node.member("bob"))
    #expect(drive([node]) { node.heard.notices(.userJoined).count == 2 })
    #expect(node.heard.notices.map(\.body) == [#"{"color":[1,2]}"#, ""])
  }

  // MARK: Grace

  @Test(
    "keeps a user whose last connection leaves with a grace, and lets it come back unseen",
    arguments: BrokerKind.allCases)
  func graceReturn(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let member = node.member("ann", 1, info: "7")
    _ = try node.enter(member)
    node.leave(member, grace: 60_000)
    #expect(drive([node]) { node.heard.notices.count == 2 })
    #expect(node.heard.notices.map(\.kind) == [.userJoined, .userLeaving] && node.heard.notices.last?.body == "60000")
    let page = try node.page()
    #expect(page.userCount == 1 && page.connectionCount == 0)
    let absent = try #require(page.members.first)
    #expect(absent.user == bytes("ann") && absent.name.isEmpty && absent.node.isEmpty)
    #expect(absent.since == member.since && absent.info == bytes("7"))
    #expect(try node.userNames() == ["ann"])
    // Nothing is due, and another leave of the same connection changes nothing.
    let left = try #require(try node.endGraces())
    #expect((50_000...60_000).contains(left))
    node.leave(member, grace: 1)
    #expect(try #require(try node.endGraces()) > 50_000)
    #expect(try node.countAfterEntering(node.member("ann", 2)) == 1)
    #expect(try node.endGraces() == nil)
    #expect(try node.page().members == [node.member("ann", 2)])
    _ = try node.enter(node.member("end"))
    #expect(drive([node]) { node.heard.notices.last?.user == #""end""# })
    #expect(node.heard.notices(.userJoined) == [#""ann""#, #""end""#] && node.heard.notices(.userLeft).isEmpty)
  }

  @Test("lets a user leave when its grace has passed, and its state with it", arguments: BrokerKind.allCases)
  func graceEnd(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let (ann, bob) = (node.member(#"a"n"#), node.member("bob"))
    for member in [ann, bob] { _ = try node.enter(member) }
    try node.say("1", ann)
    node.leave(ann, grace: 50)
    #expect(try node.page().states == [bytes(#"a"n"#): bytes("1")])
    #expect(drive([node]) { (try? node.endGraces()) == .some(nil) })
    #expect(drive([node]) { node.heard.notices(.userLeft) == [#""a\"n""#] })
    #expect(try node.page().members == [bob] && node.page().userCount == 1)
    #expect(try node.userNames() == ["bob"])
    _ = try node.enter(ann)
    #expect(try node.page().states.isEmpty)
    #expect(drive([node]) { node.heard.notices(.userJoined).count == 3 })
  }

  @Test("gives no grace to a user who has another connection there, nor without one", arguments: BrokerKind.allCases)
  func otherConnection(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    for handle in 1...2 { _ = try node.enter(node.member("ann", handle)) }
    node.leave(node.member("ann", 1), grace: 60_000)
    #expect(try node.endGraces() == nil)
    #expect(try node.page().members == [node.member("ann", 2)])
    node.leave(node.member("ann", 2), grace: 0)
    #expect(drive([node]) { node.heard.notices.count == 2 })
    #expect(node.heard.notices.map(\.kind) == [.userJoined, .userLeft])
    #expect(try node.page().userCount == 0)
  }

  @Test("ends the graces of many users, some at a time", arguments: BrokerKind.allCases)
  func manyGraces(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let members = (0..<250).map { node.member("u\($0)") }
    for member in members { node.broker.enter(room: bytes("r"), member) { _ in } }
    for member in members { node.leave(member, grace: 1) }
    #expect(drive([node]) { (try? node.endGraces()) == .some(nil) })
    #expect(drive([node]) { node.heard.notices(.userLeft).count == 250 })
    #expect(Set(node.heard.notices(.userLeft)).count == 250)
    #expect(try node.page().userCount == 0)
  }

  // MARK: State

  @Test("keeps the newest that a user says, until it takes it back", arguments: BrokerKind.allCases)
  func state(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let ann = node.member("ann")
    try node.say("0", ann)
    _ = try node.enter(ann)
    #expect(try node.page().states.isEmpty, "a user who is not in the room says nothing there")
    try node.say(#"{"a":1}"#, ann)
    try node.say(#"{"a":2}"#, ann)
    #expect(try node.page().states == [bytes("ann"): bytes(#"{"a":2}"#)])
    #expect(try node.userPage().states == [bytes("ann"): bytes(#"{"a":2}"#)])
    try node.say(nil, ann)
    #expect(try node.page().states.isEmpty)
    #expect(drive([node]) { node.heard.notices(.userState).count == 3 })
    #expect(node.heard.notices.filter { $0.kind == .userState }.map(\.body) == [#"{"a":1}"#, #"{"a":2}"#, "null"])
  }

  @Test("replaces nothing by what is said again", arguments: BrokerKind.allCases)
  func stateAssertion(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let (ann, bob) = (node.member("ann"), node.member("bob"))
    for member in [ann, bob] { _ = try node.enter(member) }
    try node.say("1", ann)
    try node.say("2", ann, isAssertion: true)
    try node.say("3", bob, isAssertion: true)
    try node.say("4", bob, isAssertion: true)
    #expect(try node.page().states == [bytes("ann"): bytes("1"), bytes("bob"): bytes("3")])
    #expect(drive([node]) { node.heard.notices(.userState).count == 2 })
    #expect(node.heard.notices.filter { $0.kind == .userState }.map(\.body) == ["1", "3"])
  }

  @Test("forgets what a user said when its last connection leaves", arguments: BrokerKind.allCases)
  func stateEnd(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for handle in 1...2 { _ = try node.enter(node.member("ann", handle)) }
    _ = try node.enter(node.member("bob"))
    try node.say("1", node.member("ann", 1))
    node.leave(node.member("ann", 1), grace: 0)
    #expect(try node.page().states.count == 1)
    node.leave(node.member("ann", 2), grace: 0)
    _ = try node.enter(node.member("ann", 1))
    #expect(try node.page().states.isEmpty)
  }

  // MARK: Pages

  @Test("reads members in order, page by page", arguments: BrokerKind.allCases)
  func pages(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    var members: [Member] = []
    for user in ["a", "a\u{1}", "a b", "ab", "é", "\"", "B"] {
      for handle in 1...3 { members.append(node.member(user, handle)) }
    }
    for member in members.shuffled() { node.broker.enter(room: bytes("r"), member) { _ in } }
    members.sort { ($0.user + [0] + $0.name).lexicographicallyPrecedes($1.user + [0] + $1.name) }
    #expect(try node.page(limit: 100).members == members)
    for limit in [1, 2, 5, 20, 21] {
      var read: [Member] = []
      var cursor: MemberCursor?
      repeat {
        let page = try node.page(after: cursor, limit: limit)
        #expect(page.members.count <= limit && page.userCount == 7 && page.connectionCount == 21)
        read += page.members
        cursor = page.next
      } while cursor != nil
      #expect(read == members, "\(limit)")
    }
    // Inside of a user, after a user, after one who is not there, and after everybody.
    #expect(
      try node.page(after: MemberCursor(user: bytes("a"), connection: node.member("a", 2).name)).members.first
        == node.member("a", 3))
    #expect(try node.page(after: MemberCursor(user: bytes("a"))).members.first?.user == bytes("a\u{1}"))
    #expect(try node.page(after: MemberCursor(user: bytes("aa"))).members.first?.user == bytes("ab"))
    #expect(try node.page(after: MemberCursor(user: bytes("é"))).members.isEmpty)
    #expect(try node.page(room: "empty") == MemberPage(members: [], userCount: 0, connectionCount: 0, next: nil))
  }

  @Test("shows users in grace at their place in the pages", arguments: BrokerKind.allCases)
  func pagesWithGraces(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for i in 0..<40 { node.broker.enter(room: bytes("r"), node.member("u\(10 + i)")) { _ in } }
    for i in stride(from: 0, to: 40, by: 2) { node.leave(node.member("u\(10 + i)"), grace: 60_000) }
    var read: [Member] = []
    var cursor: MemberCursor?
    repeat {
      let page = try node.page(after: cursor, limit: 7)
      #expect(page.userCount == 40 && page.connectionCount == 20)
      read += page.members
      cursor = page.next
    } while cursor != nil
    #expect(read.map(\.user) == (0..<40).map { bytes("u\(10 + $0)") })
    #expect(read.map(\.name.isEmpty) == (0..<40).map { $0 % 2 == 0 })
  }

  @Test("reads 2000 members and users by pages", arguments: BrokerKind.allCases)
  func largeRoom(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let names = Set((0..<2000).map { "user\($0)" })
    var entered = 0
    for name in names { node.broker.enter(room: bytes("r"), node.member(name)) { _ in entered += 1 } }
    #expect(drive([node]) { entered == 2000 })
    for name in ["user7", "user1999"] { try node.say("true", node.member(name)) }
    var (read, states): ([String], Set<String>) = ([], [])
    var cursor: MemberCursor?
    repeat {
      let page = try node.page(after: cursor, limit: 10_000)
      #expect(page.members.count <= Limits.memberPageMax)
      read += page.members.map { String(decoding: $0.user, as: UTF8.self) }
      states.formUnion(page.states.keys.map { String(decoding: $0, as: UTF8.self) })
      cursor = page.next
    } while cursor != nil
    #expect(read == names.sorted() && states == ["user7", "user1999"])
    #expect(try node.userNames() == names)
  }

  // MARK: Batches

  @Test("does what one tick asks of one member in its order", arguments: BrokerKind.allCases)
  func oneMember(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    try node.subscribe()
    let ann = node.member("ann")
    for _ in 0..<3 {
      node.broker.enter(room: bytes("r"), ann) { _ in }
      node.leave(ann, grace: 0)
    }
    node.broker.enter(room: bytes("r"), ann) { _ in }
    node.broker.setState(room: bytes("r"), ann, bytes("1"), isAssertion: false) { _ in }
    #expect(try node.page().members == [ann])
    #expect(try node.page().states == [bytes("ann"): bytes("1")])
    node.leave(ann, grace: 60_000)
    node.broker.enter(room: bytes("r"), ann) { _ in }
    node.leave(ann, grace: 0)
    #expect(try node.page() == MemberPage(members: [], userCount: 0, connectionCount: 0, next: nil))
    #expect(drive([node]) { node.heard.notices(.userLeft).count == 4 })
    let kinds = Array(repeating: [Envelope.Kind.userJoined, .userLeft], count: 3).flatMap(\.self)
    #expect(node.heard.notices.compactMap(\.kind) == kinds + [.userJoined, .userState, .userLeaving, .userLeft])
  }

  @Test("answers every entering of a tick with its room's position", arguments: BrokerKind.allCases)
  func manyRooms(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let positions = try (0..<20).map { try node.publish("m", in: "r\($0)") }
    var answers: [String: [Position]] = [:]
    var failures = 0
    for i in 0..<600 {
      let room = "r\(i % 30)"
      node.broker.enter(room: bytes(room), node.member("u\(i / 60)", i)) { result in
        if let position = try? result.get() { answers[room, default: []].append(position) } else { failures += 1 }
      }
    }
    #expect(drive([node]) { answers.values.reduce(0) { $0 + $1.count } == 600 })
    #expect(failures == 0)
    for i in 0..<30 {
      let entered = try #require(answers["r\(i)"])
      if i < 20 { #expect(entered.allSatisfy { $0 == positions[i] }) }
      #expect(entered.allSatisfy { $0 == entered[0] })
      let page = try node.page(room: "r\(i)")
      #expect(page.userCount == 10 && page.connectionCount == 20)
    }
    #expect(try node.rooms().rooms.count == 30)
  }
}
