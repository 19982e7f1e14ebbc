import ClientProtocol
import Testing

@testable import Realtime

@Suite("Hub, wildcards")
struct WildcardTests {
  private func messages(_ client: Client) -> [String] {
    client.take().filter { $0.type == "message" }.map { "\($0.string("room") ?? "")@\($0.int("offset") ?? 0)" }
  }

  @Test("brings the messages of every room that begins as the name does, with the room's own name")
  func hears() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let joined = ann.send(#"{"type":"join","room":"news:*","id":"j"}"#)
    #expect(joined.map(\.description) == [#"{"type":"joined","id":"j","room":"news:*","members":0}"#])
    for room in ["news:a", "news:", "news:b", "new", "chat:a", "news:a"] {
      try bench.broker.publishElsewhere(room, "\"n\":1")
      bench.settle()
    }
    #expect(messages(ann) == ["news:a@1", "news:@1", "news:b@1", "news:a@2"])
    #expect(ann.send(#"{"type":"request","action":"rooms","id":"r"}"#).first?.description.contains("news:*") == true)
    #expect(ann.send(#"{"type":"leave","room":"news:*"}"#).map(\.type) == ["left"])
    try bench.broker.publishElsewhere("news:a", "\"n\":1")
    #expect(ann.take().isEmpty)
    #expect(bench.broker.prefixes.count == 1)
    bench.clock.milliseconds += Limits.roomLingerMilliseconds
    bench.hub.expire()
    #expect(bench.broker.prefixes.isEmpty)
    #expect(bench.hub.counters.rooms == 0)
  }

  @Test("gives a connection one copy, however many of its rooms and wildcards match")
  func oneCopy() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bob.join("news:a")
    _ = bob.take()
    for room in ["news:*", "news:a", "news:a*", "n*"] { ann.join(room) }
    #expect(bob.take().map(\.type) == ["user_joined"])
    for n in 1...3 { bob.publish("\"n\":\(n)", in: "news:a") }
    #expect(messages(ann) == ["news:a@1", "news:a@2", "news:a@3"])
    for room in ["news:a", "n*", "news:*"] {
      ann.send(#"{"type":"leave","room":"\#(room)"}"#)
      bob.publish("\"n\":4", in: "news:a")
      #expect(messages(ann).count == 1, "without \(room)")
    }
    // The sender's own copy is left out also where it would come through a wildcard.
    bob.join("n*")
    _ = bob.take()
    bob.publish("\"n\":5", in: "news:a")
    #expect(messages(bob).isEmpty)
    #expect(bob.publish("\"n\":6,\"echo\":true", in: "news:a").map(\.type) == ["message"])
  }

  @Test("says nothing of presence to a wildcard, and counts none of its members")
  func presence() {
    let bench = HubBench()
    let (ann, bob, eve) = (bench.open("ann"), bench.open("bob"), bench.open("eve"))
    ann.join("news:*")
    bob.join("news:a")
    #expect(eve.join("news:a").first?.int("members") == 2)
    #expect(bob.take().map(\.type) == ["user_joined"])
    eve.publish("\"n\":1", in: "news:a")
    eve.send(#"{"type":"leave","room":"news:a"}"#)
    #expect(ann.take().map(\.type) == ["message"])
    #expect(bob.take().map(\.type) == ["message", "user_left"])
  }

  @Test("takes a wildcard for joins and leaves only, and a star elsewhere for a byte like any other")
  func names() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join("news:*")
    for operation in ["message", "presence", "history"] {
      let texts = ann.send(#"{"type":"\#(operation)","room":"news:*","id":"i"}"#)
      #expect(texts.map { $0.string("code") } == ["bad_room"], "\(operation)")
    }
    let binary: [UInt8] = [1, 6] + Array("news:*".utf8) + [9]
    bench.hub.receive(binary: binary.span, from: ann.session)
    #expect(ann.take().map { $0.string("code") } == ["bad_room"])
    #expect(ann.join("*").first?.string("code") == "bad_room")
    ann.join("a*b")
    #expect(ann.publish(#""echo":true"#, in: "a*b").first?.string("room") == "a*b")
    #expect(throws: ProtocolError.self) {
      let (room, data) = (Array("news:*".utf8), Array("{}".utf8))
      try bench.hub.publish(room: room, data: data.span, idempotencyKey: nil) { _ in }
    }
  }

  @Test("bounds the wildcards of a node and the rooms of a connection, wildcards among them")
  func limits() {
    let bench = HubBench {
      $0.wildcardsMax = 2
      $0.roomsPerConnectionMax = 3
    }
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    for room in ["a*", "b*"] { #expect(ann.join(room).first?.type == "joined") }
    #expect(bob.join("c*").first?.string("code") == "too_many_rooms")
    #expect(bob.join("a*").first?.type == "joined")
    #expect(ann.join("a*").first?.type == "joined")
    #expect(ann.join("x").first?.type == "joined")
    #expect(ann.join("y").first?.string("code") == "too_many_rooms")
    // A wildcard that nobody is in any more makes place.
    bench.hub.close(ann.session)
    bench.clock.milliseconds += Limits.roomLingerMilliseconds
    bench.hub.expire()
    #expect(bob.join("c*").first?.type == "joined")
  }

  @Test("answers a resume with recovered false, and a join while Redis is away with unavailable")
  func resume() {
    let bench = HubBench()
    let ann = bench.open("ann")
    let since = #"{"epoch":"1","offset":1}"#
    #expect(ann.join("a*", since: since).first?.json["recovered"]?.asBool == false)
    bench.broker.goAway()
    _ = ann.take()
    #expect(ann.join("b*").first?.string("code") == "unavailable")
    bench.broker.comeBack()
    _ = ann.take()
    #expect(ann.join("b*").first?.type == "joined")
  }

  @Test("mends the holes of a room that was heard before, and says gap for those that were not")
  func outage() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join("news:*")
    try bench.broker.publishElsewhere("news:a", "\"n\":1")
    bench.broker.goAway()
    for room in ["news:a", "news:a", "news:b"] { try bench.broker.publishElsewhere(room, "\"n\":2") }
    bench.broker.comeBack()
    let texts = ann.take()
    #expect(texts.filter { $0.type == "message" }.map { $0.int("offset") } == [1, 2, 3])
    #expect(texts.filter { $0.type == "gap" }.map(\.description) == [#"{"type":"gap","room":"news:*"}"#])
    #expect(texts.contains { $0.type == "restored" })
    bench.broker.isLosing = true
    try bench.broker.publishElsewhere("news:a", "\"n\":3")
    bench.broker.isLosing = false
    try bench.broker.publishElsewhere("news:a", "\"n\":4")
    #expect(messages(ann) == ["news:a@4", "news:a@5"])
  }

  @Test("owes a wildcard the messages that come while somebody else enters the room")
  func whileEntering() throws {
    for steps in 0...3 {
      let bench = HubBench()
      let (ann, bob) = (bench.open("ann"), bench.open("bob"))
      ann.join("n*")
      bench.broker.isQueuing = true
      bob.post(#"{"type":"join","room":"news"}"#)
      for n in 1...5 {
        if n <= steps { bench.broker.answerNext() }
        try bench.broker.publishElsewhere("news", "\"n\":\(n)")
        if n % 2 == 0 { bench.broker.hearNext() }
      }
      bench.exchangeAll { bench.settle() }
      bench.clock.milliseconds += 1000
      bench.hub.expire()
      #expect(messages(ann) == (1...5).map { "news@\($0)" }, "after \(steps) answers")
      let seen = bob.take()
      let start = try #require(seen.first { $0.type == "joined" }?.int("offset"))
      let expected = start < 5 ? Array((start + 1)...5) : []
      #expect(seen.filter { $0.type == "message" }.compactMap { $0.int("offset") } == expected)
    }
  }

  @Test("follows a room on after its last member has left, and forgets it when it is idle")
  func idleRooms() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join("news:*")
    bob.join("news:a")
    try bench.broker.publishElsewhere("news:a", "\"n\":1")
    bench.hub.close(bob.session)
    bench.clock.milliseconds += Limits.roomLingerMilliseconds
    bench.hub.expire()
    bench.broker.isLosing = true
    try bench.broker.publishElsewhere("news:a", "\"n\":2")
    bench.broker.isLosing = false
    try bench.broker.publishElsewhere("news:a", "\"n\":3")
    #expect(messages(ann) == ["news:a@1", "news:a@2", "news:a@3"])
    for _ in 0..<3 {
      bench.clock.milliseconds += Limits.wildcardRoomIdleMilliseconds
      bench.hub.expire()
    }
    #expect(bench.hub.counters.rooms == 0)
    try bench.broker.publishElsewhere("news:a", "\"n\":4")
    #expect(messages(ann) == ["news:a@4"])
    // Somebody who joins a room that is only heard has its notices and its history like any other.
    let eve = bench.open("eve")
    #expect(eve.join("news:a").first?.int("offset") == 4)
    #expect(bench.open("bob").join("news:a").first?.int("members") == 2)
    #expect(eve.take().map(\.type) == ["user_joined"])
  }

  @Test("delivers from more rooms than it follows, and follows no more than its limit")
  func heardRoomLimit() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join("n*")
    for n in 0..<(Limits.wildcardRoomsMax + 10) { try bench.broker.publishElsewhere("n\(n)", "\"n\":1") }
    #expect(messages(ann).count == Limits.wildcardRoomsMax + 10)
    bench.hub.expire()
    #expect(bench.hub.counters.rooms <= Limits.wildcardRoomsMax)
  }

  @Test("leaves before its join was answered, in the order in which it asked")
  func leavesWhileJoining() {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.isQueuing = true
    ann.post(#"{"type":"join","room":"n*","id":"1"}"#)
    ann.post(#"{"type":"leave","room":"n*","id":"2"}"#)
    ann.post(#"{"type":"join","room":"n*","id":"3"}"#)
    #expect(ann.take().isEmpty)
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    #expect(ann.take().map { $0.string("id") } == ["1", "2", "3"])
    let bob = bench.open("bob")
    bob.post(#"{"type":"join","room":"o*"}"#)
    bench.hub.close(bob.session)
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    bench.clock.milliseconds += Limits.roomLingerMilliseconds
    bench.hub.expire()
    #expect(bench.broker.prefixes == [Array("n".utf8)])
  }

  @Test("a wildcard joined in the middle of a tick gets what comes after it, and nothing that was gathered before")
  func middleOfTick() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bob.join("news:a")
    _ = bob.take()
    try bench.broker.publishElsewhere("news:a", "\"n\":1")
    let join = Array(#"{"type":"join","room":"news:*"}"#.utf8)
    bench.hub.receive(text: join.span, from: ann.session)
    bench.exchangeAll()
    try bench.broker.publishElsewhere("news:a", "\"n\":2")
    bench.settle()
    #expect(messages(ann) == ["news:a@2"])
    #expect(messages(bob) == ["news:a@1", "news:a@2"])
  }

  @Test("rooms that only a wildcard kept end with it, and those that another hears or somebody is in stay")
  func endsWithWildcard() throws {
    let bench = HubBench()
    let (ann, bob, eve) = (bench.open("ann"), bench.open("bob"), bench.open("eve"))
    ann.join("news:*")
    eve.join("news:sport:*")
    bob.join("news:b")
    for room in ["news:a", "news:b", "news:sport:c"] { try bench.broker.publishElsewhere(room, "\"n\":1") }
    bench.settle()
    #expect(bench.hub.context.rooms.count == 3)
    ann.send(#"{"type":"leave","room":"news:*"}"#)
    bench.clock.milliseconds += Limits.roomLingerMilliseconds
    bench.hub.expire()
    var left: [String] = []
    bench.hub.context.rooms.forEach { left.append(String(decoding: $0.name, as: UTF8.self)) }
    #expect(left.sorted() == ["news:b", "news:sport:c"])
    // A wildcard of the same name is another one: rooms find it.
    ann.join("news:*")
    try bench.broker.publishElsewhere("news:sport:c", "\"n\":2")
    bench.settle()
    #expect(messages(ann) == ["news:sport:c@2"])
    #expect(messages(eve) == ["news:sport:c@1", "news:sport:c@2"])
  }
}
