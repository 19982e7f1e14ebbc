import JSONCore
import Randomness
import Testing

@testable import Realtime

/// A client that keeps a list of a room's users as the documentation tells to: it starts from `joined` and `presence`, and
/// applies every notice.
final class PresenceClient {
  let client: Client
  private(set) var isJoined = false
  private(set) var isJoining = false
  /// Users by name, and what they say about themselves; nil before `presence` was answered.
  private(set) var users: [String: String]?
  /// The number of users as `joined` and the notices tell it.
  private(set) var count = 0
  private(set) var complaints: [String] = []
  private var isLeaving = false
  /// Whether all pages of the list have come.
  private var hasWholeList = false
  /// Counts its joins: an answer to what it asked in an earlier stay says nothing.
  private var stays = 0
  /// Users in one answer.
  private static let pageLimit = 3

  init(_ client: Client) { self.client = client }

  /// Joins and asks who is there without waiting for an answer.
  func join() {
    isJoining = true
    stays += 1
    client.post(#"{"type":"join","room":"r","id":"j"}"#)
    ask(after: nil)
  }

  func leave() {
    guard !isLeaving else { return }
    isLeaving = true
    client.post(#"{"type":"leave","room":"r"}"#)
  }

  func say(_ state: String) { client.post(#"{"type":"state","room":"r","state":\#(state)}"#) }

  private func ask(after user: String?) {
    let (id, after) = user.map { ("next", #","after":"\#($0)""#) } ?? ("first", "")
    client.post(#"{"type":"presence","room":"r","id":"\#(id)\#(stays)","limit":\#(PresenceClient.pageLimit)\#(after)}"#)
  }

  func look() { for text in client.take() { look(at: text) } }

  private func look(at text: Text) {
    switch text.type {
    case "joined":
      if text.string("id") != nil { (isJoined, isJoining, hasWholeList, users) = (true, false, false, nil) }
      count = text.int("members") ?? -1
    case "presence":
      guard text.string("id")?.hasSuffix("t\(stays)") == true else { break }
      if isJoined { add(text) } else if isJoining { complaints.append("before joined: \(text)") }
    case "user_joined": change(text, by: 1)
    case "user_left": change(text, by: -1)
    case "presence_update": update(text)
    case "user_state":
      if let user = text.string("user"), users?[user] != nil { users?[user] = text.string("state") ?? "" }
    case "left": (isJoined, isLeaving, hasWholeList, users) = (false, false, false, nil)
    case "error": refused(text)
    case "degraded", "restored", "gap", "message": break
    default: complaints.append("unexpected: \(text)")
    }
  }

  private func change(_ text: Text, by step: Int) {
    guard let user = text.string("user") else { return }
    // An answer comes after the notices of what it contains.
    if step > 0, hasWholeList, users?[user] != nil { complaints.append("known already: \(text)") }
    count += step
    if step > 0 { insert(user) } else { users?[user] = nil }
  }

  private func insert(_ user: String) { users?[user, default: ""] += "" }

  private func update(_ text: Text) {
    count = text.int("count") ?? -1
    for user in names(text.json["joined"]) { insert(user) }
    for user in names(text.json["left"]) { users?[user] = nil }
    // More have changed than are named.
    if text.json["more"]?.asBool == true {
      hasWholeList = false
      ask(after: nil)
    }
  }

  private func names(_ value: JSONValue?) -> [String] { (value?.asArray ?? []).compactMap(\.asString) }

  private func add(_ page: Text) {
    if page.string("id") == "first\(stays)" { users = [:] }
    let members = page.json["members"]?.asArray ?? []
    for member in members {
      guard let user = member["user"]?.asString else { continue }
      users?[user] = member["state"]?.asString ?? ""
    }
    hasWholeList = page.json["more"]?.asBool != true
    guard !hasWholeList else { return }
    ask(after: members.last?["user"]?.asString)
  }

  private func refused(_ text: Text) {
    if text.string("id") == "j" { isJoining = false } else if isJoined { ask(after: nil) }
  }
}

@Suite("Presence, simulated")
struct PresenceSimulationTests {
  /// Users of another node, who come and go. One of them has a connection here, too.
  private static let others = ["far0", "far1", "far2", "far3", "user0"]

  private struct Way {
    var losesNotices = true
    var announceMax = 500
    var hasGrace = false
    var areSlow = false
    var userNoticesMax = Limits.presenceUserNoticesMax
  }

  /// One life of a room: who comes, goes and says something, what breaks, and which channel goes on next is drawn from
  /// `seed`. Whatever happened, every client knows who is there once the room is at rest.
  private func simulate(seed: UInt64, _ way: Way) throws {
    var random = SeededGenerator(seed: seed)
    let bench = HubBench { configuration in
      configuration.presenceAnnounceMax = way.announceMax
      configuration.presenceIntervalMilliseconds = 500
      configuration.presenceUserNoticesMax = way.userNoticesMax
      configuration.leaveDebounceMilliseconds = way.hasGrace ? 700 : 0
    }
    bench.broker.losesNotices = way.losesNotices
    bench.broker.graceElsewhere = way.hasGrace ? 700 : 0
    // Two clients are one user.
    let clients = (0..<7).map { PresenceClient(bench.open("user\($0 / 2 * 2)")) }
    bench.broker.isQueuing = way.losesNotices
    for number in 0..<400 {
      let client = clients[Int.random(in: 0..<clients.count, using: &random)]
      if way.areSlow {
        switch Int.random(in: 0..<10, using: &random) {
        case 0: bench.slowDown(client.client)
        case 1..<4: bench.drainQueue(client.client, forGood: Int.random(in: 0..<3, using: &random) == 0)
        default: break
        }
      }
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<20: bench.broker.hearNext()
      case 20..<45: bench.broker.answerNext()
      case 45..<60: if !client.isJoined, !client.isJoining { client.join() }
      case 60..<68: if client.isJoined { client.leave() }
      case 68..<73: if client.isJoined { client.say("\"s\(number)\"") }
      case 73..<83: bench.broker.moveElsewhere(PresenceSimulationTests.others.randomElement(using: &random) ?? "")
      case 83: if way.losesNotices { bench.broker.isLosing.toggle() }
      case 84: if way.losesNotices { bench.broker.losesNextAnswer = true }
      case 85: if way.losesNotices { bench.broker.goAway() }
      case 86: if !bench.broker.isAvailable { bench.broker.comeBack() }
      case 87: if way.losesNotices { fail(bench, &random) }
      case 88..<92: bench.wait(milliseconds: 300)
      case 92: bench.hub.expire()
      default: for client in clients { client.look() }
      }
    }
    try rest(bench, clients, seed)
    judge(clients, bench, seed)
  }

  private func fail(_ bench: HubBench, _ random: inout SeededGenerator) {
    // What is out of reach is emptied unseen: that is `forget`.
    switch Int.random(in: 0..<3, using: &random) {
    case 1 where !bench.broker.isAvailable: break
    case 0: bench.broker.forget()
    case 1: bench.broker.flush()
    default: bench.broker.failOver(losing: 0)
    }
  }

  /// The broker is whole again, and says so, as it does after every outage.
  private func rest(_ bench: HubBench, _ clients: [PresenceClient], _ seed: UInt64) throws {
    bench.broker.isLosing = false
    bench.broker.losesNextAnswer = false
    bench.broker.comeBack()
    var steps = 0
    for round in 0..<60 {
      bench.wait(milliseconds: 300)
      try bench.rest(seed: seed, &steps) {
        for client in clients {
          bench.drainQueue(client.client, forGood: round > 20)
          client.look()
        }
      }
    }
  }

  private func judge(_ clients: [PresenceClient], _ bench: HubBench, _ seed: UInt64) {
    let truth = bench.broker.presence
    for (number, client) in clients.enumerated() {
      #expect(client.complaints.isEmpty, "seed \(seed)")
      #expect(!client.isJoining, "seed \(seed): a join of \(number) was never answered")
      guard client.isJoined else { continue }
      #expect(client.users?.keys.sorted() == truth.keys.sorted(), "seed \(seed): whom client \(number) knows")
      #expect(client.users == truth, "seed \(seed): what client \(number) knows of them")
      #expect(client.count == truth.count, "seed \(seed): the number that client \(number) knows")
    }
  }

  private func simulate(_ way: Way, _ count: UInt64) throws {
    for seed in seeds(count) { try simulate(seed: seed, way) }
  }

  @Test("tells everybody the truth, whatever the broker loses and forgets (1,000 seeds)")
  func faults() throws { try simulate(Way(), 1000) }

  @Test("does so in crowds, which are told in sum (1,000 seeds)")
  func crowds() throws {
    for seed in seeds(1000) { try simulate(seed: seed, Way(announceMax: seed % 2 == 0 ? 3 : 0)) }
  }

  @Test("does so for users who may come back within their grace (1,000 seeds)")
  func graces() throws {
    for seed in seeds(1000) { try simulate(seed: seed, Way(announceMax: seed % 2 == 0 ? 3 : 500, hasGrace: true)) }
  }

  @Test("does so for connections that stop to take what they are given (500 seeds)")
  func slowConnections() throws { try simulate(Way(announceMax: 3, areSlow: true), 500) }

  @Test("does so for users who come and go more often than is told one by one (500 seeds)")
  func storms() throws {
    for seed in seeds(500) { try simulate(seed: seed, Way(userNoticesMax: seed % 2 == 0 ? 2 : 0)) }
  }

  @Test("does so with a broker within the process (500 seeds)")
  func withinTheProcess() throws {
    for seed in seeds(500) {
      try simulate(seed: seed, Way(losesNotices: false, announceMax: seed % 2 == 0 ? 3 : 500, hasGrace: seed % 3 == 0))
    }
  }
}
