import Testing

@testable import Realtime

@Suite("Hub, what a client may do")
struct RateLimitTests {
  private func flood(_ client: Client, _ count: Int) -> Int {
    (0..<count).count { _ in client.send(#"{"type":"ping"}"#).first?.string("code") == "rate_limited" }
  }

  @Test("closes with 4429 whoever goes on after a thousand refusals in ten seconds, and nobody who is slower")
  func persistence() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    // Ninety refusals a second for half a minute are answered, each of them.
    for _ in 0..<30 {
      #expect(flood(bob, 99) >= 88)
      bench.clock.milliseconds += 1000
    }
    #expect(bench.closes[bob.connection] == nil)
    #expect(flood(ann, 1010) == 1000)
    #expect(bench.closes[ann.connection] == nil)
    #expect(flood(ann, 1) == 0)
    #expect(bench.closes[ann.connection] == 4429)
    #expect(bench.hub.counters.refusals[.operations] > 1000)
  }

  @Test("ends a room that nobody is in, and allows what a second brings, though the clock was set back by an hour")
  func clockSetBack() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    let ann = bench.open("ann")
    _ = ann.send(#"{"type":"join","room":"r"}"#)
    _ = ann.send(#"{"type":"leave","room":"r"}"#)
    #expect(flood(ann, 12) > 0)
    bench.clock.offset = -3_600_000
    bench.wait(milliseconds: Limits.roomLingerMilliseconds + 1000)
    bench.hub.expire()
    #expect(bench.hub.counters.rooms == 0)
    #expect(flood(ann, 10) == 0)
  }

  /// What comes through of a burst of pings.
  private func burst(_ client: Client) -> Int { 20 - flood(client, 20) }

  @Test("brings a client that connects again what it had left, by its address where nobody proves who it is")
  func reconnect() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    var taken = 0
    for n in 0..<20 {
      // Another name every time, as with guests.
      let client = bench.open("guest-\(n)")
      taken += burst(client)
      bench.hub.close(client.session)
    }
    #expect(taken == 10)
    bench.clock.milliseconds += 500
    #expect(burst(bench.open("guest")) == 5)
  }

  @Test("brings a user's next connection what the user had left, whatever address it comes from, and others their own")
  func reconnectByToken() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    func open(_ user: String) -> Client { bench.open(Identity(user: Array(user.utf8))) }
    for expected in [10, 0, 0] {
      let ann = open("ann")
      #expect(burst(ann) == expected)
      bench.hub.close(ann.session)
    }
    #expect(burst(open("bob")) == 10)
  }

  @Test("brings nothing to who connects first and shows a token then")
  func reconnectByFirstMessage() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    bench.hub.judgeToken = { token, conclude in conclude(.accepted(Identity(user: token))) }
    var taken = 0
    for _ in 0..<20 {
      let client = bench.arrive()
      client.send(#"{"type":"auth","token":"ann"}"#)
      taken += burst(client)
      bench.hub.close(client.session)
    }
    #expect(taken < 10)
  }

  @Test("n connections that close leave n times what is left, and not one burst more")
  func reconnectMany() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    for round in 0..<5 {
      let clients = (0..<8).map { bench.open("c\($0)") }
      #expect(clients.reduce(0) { $0 + burst($1) } == (round == 0 ? 80 : 0))
      for client in clients { bench.hub.close(client.session) }
    }
  }

  @Test("goes on counting refusals when a client comes back")
  func patience() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    let first = bench.open("ann")
    _ = flood(first, 1011)
    #expect(bench.closes[first.connection] == 4429)
    bench.hub.close(first.session)
    let second = bench.open("ann")
    _ = flood(second, 1)
    #expect(bench.closes[second.connection] == 4429)
  }

  @Test("remembers nobody who was idle or is even again, and so many of the others for so long")
  func memory() {
    let bench = HubBench { $0.operationsPerSecond = 10 }
    let idle = bench.open("idle")
    bench.hub.close(idle.session)
    #expect(bench.hub.limiters.rememberedCount == 0)
    let ann = bench.open("ann")
    _ = burst(ann)
    bench.clock.milliseconds += SessionRateLimiter.windowMilliseconds
    bench.hub.close(ann.session)
    #expect(bench.hub.limiters.rememberedCount == 0)
    var recent = RecentRateLimiters()
    func spent(_ now: UInt64) -> SessionRateLimiter {
      let limiter = SessionRateLimiter(operationsPerSecond: 1, bytesPerSecond: 0, messageBytesMax: 0, now: now)
      _ = limiter.charge(bytes: 1, at: now)
      return limiter
    }
    func owner(_ n: Int) -> RecentRateLimiters.Owner { .user(Array("u\(n)".utf8)) }
    for n in 0...Limits.recentRateLimitersMax { recent.keep(spent(1000), of: owner(n), at: 1000) }
    #expect(recent.count == Limits.recentRateLimitersMax)
    let (oldest, next) = (recent.take(of: owner(0), at: 1000), recent.take(of: owner(1), at: 1000))
    #expect(oldest == nil && next != nil)
    // Who comes and goes all the time stands for one.
    for _ in 0..<10_000 {
      recent.keep(spent(1000), of: owner(1), at: 1000)
      _ = recent.take(of: owner(1), at: 1000)
    }
    recent.expire(at: 11_000)
    #expect(recent.count == 0)
  }

  @Test("counts what cannot be read, and answers it with rate_limited too")
  func malformed() {
    let bench = HubBench { $0.operationsPerSecond = 2 }
    let ann = bench.open("ann")
    #expect(ann.send("{").first?.string("code") == "bad_request")
    #expect(ann.send("{").first?.string("code") == "bad_request")
    #expect(ann.send("{").first?.string("code") == "rate_limited")
    #expect(ann.send(#"{"type":"ping","id":"p"}"#).first?.string("id") == "p")
  }

  @Test("refuses more bytes a second than it may, but never a first message that is within max-message")
  func bytes() {
    let bench = HubBench {
      $0.bytesPerSecond = 100
      $0.messageBytesMax = 1000
    }
    let ann = bench.open("ann")
    let long = #"{"type":"ping","pad":""# + String(repeating: "x", count: 900) + #""}"#
    #expect(ann.send(long).first?.type == "pong")
    #expect(ann.send(long).first?.string("code") == "rate_limited")
    bench.clock.milliseconds += 5000
    #expect(ann.send(long).first?.string("code") == "rate_limited")
    // What was refused was not charged.
    #expect(ann.send(#"{"type":"ping"}"#).first?.type == "pong")
    bench.clock.milliseconds += 6000
    #expect(ann.send(long).first?.type == "pong")
    #expect(bench.hub.counters.refusals[.bytes] == 2)
  }

  @Test("takes so many publishes a second in a room from all clients together, in other rooms as many again")
  func roomRate() {
    let bench = HubBench { $0.roomPublishesPerSecond = 3 }
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for client in [ann, bob] {
      client.join("r")
      client.join("q")
    }
    func publish(_ client: Client, _ room: String) -> String? {
      client.send(#"{"type":"message","room":"\#(room)","id":"\#(UInt64.random(in: 0 ... .max))"}"#)
        .first { $0.type == "ack" || $0.type == "error" }.flatMap { $0.string("code") ?? $0.type }
    }
    #expect([ann, bob, ann, bob].map { publish($0, "r") } == ["ack", "ack", "ack", "rate_limited"])
    #expect(publish(bob, "q") == "ack")
    bench.clock.milliseconds += 1000
    #expect(publish(bob, "r") == "ack")
    #expect(bench.hub.counters.refusals[.roomPublishes] == 1)
  }

  @Test(
    "lets a connection join so many rooms a second that nobody is in, its own rooms at once, and any that somebody is in"
  )
  func newRooms() {
    let bench = HubBench {
      $0.newRoomsPerSecond = 2
      $0.roomsPerConnectionMax = 5
    }
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    func join(_ client: Client, _ room: String) -> String? {
      client.send(#"{"type":"join","room":"\#(room)"}"#).first.flatMap { $0.string("code") ?? $0.type }
    }
    for number in 0..<5 {
      #expect(join(ann, "a\(number)") == "joined")
      _ = ann.send(#"{"type":"leave","room":"a\#(number)"}"#)
    }
    #expect(join(ann, "a5") == "rate_limited")
    #expect(join(bob, "b") == "joined")
    #expect(join(ann, "b") == "joined", "somebody is in it")
    #expect(join(ann, "b") == "joined")
    bench.clock.milliseconds += 1000
    #expect(join(ann, "a6") == "joined")
    #expect(bench.hub.counters.refusals[.newRooms] == 1)
  }

  @Test("lets all connections of a node together join so many rooms a second that nobody is in")
  func nodeNewRooms() {
    let bench = HubBench { $0.nodeNewRoomsPerSecond = 3 }
    let clients = (0..<4).map { bench.open("u\($0)") }
    let answers = clients.enumerated().map { number, client in
      client.send(#"{"type":"join","room":"r\#(number)"}"#).first?.type
    }
    #expect(answers == ["joined", "joined", "joined", "error"])
    #expect(bench.hub.counters.refusals[.nodeNewRooms] == 1)
  }

  @Test("closes a user's connection over the limit with 4429, keeps the others, and has room when one has gone")
  func perUser() {
    let bench = HubBench { $0.connectionsPerUser = 2 }
    let first = bench.open("ann")
    _ = bench.open("ann")
    let third = bench.open("ann")
    #expect(bench.closes == [third.connection: 4429])
    bench.hub.close(third.session)
    #expect(first.send(#"{"type":"ping"}"#).first?.type == "pong")
    bench.hub.close(first.session)
    let fourth = bench.open("ann")
    #expect(bench.closes[fourth.connection] == nil)
    #expect(bench.closes[bench.open("bob").connection] == nil)
    #expect(bench.hub.counters.refusals[.connectionsPerUser] == 1)
  }

  @Test("a limit that nobody has set spares local addresses; one that was set counts them")
  func local() {
    let standard = PeerLimit(5, sparesLocal: true)
    #expect(standard.value(isLocal: true) == 0)
    #expect(standard.value(isLocal: false) == 5)
    #expect(PeerLimit(5, sparesLocal: false).value(isLocal: true) == 5)
    #expect(PeerLimit(0, sparesLocal: false).value(isLocal: false) == 0)
  }

  @Test("a bucket gives nothing for a clock that was set back, and never more than its burst")
  func bucket() {
    var bucket = TokenBucket(rate: 2, now: 10_000)
    let first = [
      bucket.take(2, at: 10_000), bucket.take(at: 9000), bucket.take(at: 9400), bucket.take(at: 9900),
    ]
    #expect(first == [true, false, false, true])
    let later = [bucket.take(3, at: 99_999_999), bucket.take(2, at: 99_999_999)]
    #expect(later == [false, true])
    var unlimited = TokenBucket(rate: 0, now: 0)
    let taken = (0..<1000).count { _ in unlimited.take(at: 0) }
    #expect(taken == 1000)
  }
}
