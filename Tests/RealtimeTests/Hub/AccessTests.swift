import Testing

@testable import Realtime

@Suite("Hub, permissions")
struct AccessTests {
  private func identity(_ user: String, rooms: [String]?, mayBroadcast: Bool = false) -> Identity {
    Identity(
      user: Array(user.utf8), rooms: rooms.map { RoomGrants($0.map { Array($0.utf8) }) }, mayBroadcast: mayBroadcast)
  }

  private func code(_ texts: [Text]) -> String? { texts.first { $0.type == "error" }?.string("code") }

  @Test("forbids every operation on a room that the token does not name")
  func forbidden() {
    let bench = HubBench()
    let ann = bench.open(identity("ann", rooms: ["chat:*"]))
    for operation in ["join", "presence", "history"] {
      let texts = ann.send(#"{"type":"\#(operation)","room":"news:a","id":"i"}"#)
      #expect(texts.map { $0.string("code") } == ["forbidden"], "\(operation)")
      #expect(texts.first?.string("id") == "i")
    }
    #expect(code(ann.join("news:*")) == "forbidden")
    #expect(code(ann.join("*")) == "forbidden" || code(ann.join("*")) == "bad_room")
    // It could not join, so it is not in the room it sends to.
    #expect(code(ann.publish("\"n\":1", in: "news:a")) == "not_joined")
    #expect(ann.join("chat:a").first?.type == "joined")
    #expect(ann.send(#"{"type":"presence","room":"chat:a"}"#).first?.type == "presence")
    #expect(ann.send(#"{"type":"history","room":"chat:a"}"#).first?.type == "history")
    #expect(bench.broker.position(of: "news:a")?.offset == 0)
  }

  @Test("lets a read-only room be joined and read, and refuses texts and binaries for it")
  func readOnly() throws {
    let bench = HubBench()
    let ann = bench.open(identity("ann", rooms: ["r:news:*"]))
    #expect(ann.join("news:a").first?.type == "joined")
    let texts = ann.send(#"{"type":"message","room":"news:a","n":1,"id":"m"}"#)
    #expect(texts.map { $0.string("code") } == ["forbidden"] && texts.first?.string("id") == "m")
    let binary: [UInt8] = [1, 6] + Array("news:a".utf8) + [9]
    bench.hub.receive(binary: binary.span, from: ann.session)
    #expect(code(ann.take()) == "forbidden")
    try bench.broker.publishElsewhere("news:a", #""n":2"#)
    #expect(ann.take().map { $0.int("offset") } == [1])
    #expect(ann.join("news:*").first?.type == "joined")
  }

  @Test("asks for the permission to broadcast, and lets direct messages pass")
  func broadcast() {
    let bench = HubBench()
    let ann = bench.open(identity("ann", rooms: []))
    let bob = bench.open(identity("bob", rooms: nil, mayBroadcast: true))
    #expect(code(ann.send(#"{"type":"broadcast","n":1,"id":"b"}"#)) == "forbidden")
    #expect(bob.take().isEmpty)
    #expect(bob.send(#"{"type":"broadcast","n":1,"id":"b"}"#).first?.type == "ack")
    #expect(ann.take().map(\.type) == ["broadcast"])
    #expect(ann.send(#"{"type":"direct","to":"bob","id":"d"}"#).first?.int("delivered") == 1)
    #expect(bob.take().map(\.type) == ["direct"])
  }

  @Test("forbids nothing where no tokens are asked for, and no room where the token names none")
  func unlimited() {
    let bench = HubBench()
    for client in [bench.open("ann"), bench.open(identity("bob", rooms: nil, mayBroadcast: true))] {
      #expect(client.join("any").contains { $0.type == "joined" })
      #expect(client.send(#"{"type":"message","room":"any","id":"m"}"#).contains { $0.type == "ack" })
      #expect(client.send(#"{"type":"broadcast","id":"b"}"#).contains { $0.type == "ack" })
    }
    #expect(code(bench.open(identity("eve", rooms: [])).join("any")) == "forbidden")
  }

  @Test("leaves the rooms that a new token does not name, and takes the right to publish where it is gone")
  func narrower() throws {
    let bench = HubBench()
    let grants = [["a", "b", "c:*"], ["a", "r:b"], ["a", "b", "c:*"]]
    bench.hub.judgeToken = { token, conclude in
      conclude(.accepted(identity("ann", rooms: grants[Int(String(decoding: token, as: UTF8.self)) ?? 0])))
    }
    let ann = bench.arrive(token: "0")
    for room in ["a", "b", "c:1", "c:*"] { #expect(ann.join(room).contains { $0.type == "joined" }, "\(room)") }
    let texts = ann.send(#"{"type":"auth","token":"1","id":"t"}"#)
    #expect(texts.map(\.type) == ["auth_success", "error", "left", "error", "left"], "\(texts)")
    #expect(texts.filter { $0.type == "left" }.map { $0.string("room") } == ["c:1", "c:*"])
    #expect(texts.filter { $0.type == "error" }.allSatisfy { $0.string("code") == "forbidden" })
    for room in ["a", "b", "c:1"] { try bench.broker.publishElsewhere(room, "\"n\":1") }
    #expect(ann.take().map { $0.string("room") } == ["a", "b"])
    #expect(code(ann.publish("\"n\":2", in: "b")) == "forbidden")
    #expect(code(ann.publish("\"n\":2", in: "a")) == nil)
    // Wider grants count at once, for rooms that are joined already too.
    #expect(ann.send(#"{"type":"auth","token":"2"}"#).map(\.type) == ["auth_success"])
    #expect(code(ann.publish("\"n\":3", in: "b")) == nil)
    #expect(ann.join("c:1").first?.type == "joined")
  }

  @Test("answers a join that a new token forbids while it is under way")
  func narrowerWhileJoining() {
    let bench = HubBench()
    let grants = [["a"], ["b"]]
    bench.hub.judgeToken = { token, conclude in
      conclude(.accepted(identity("ann", rooms: grants[Int(String(decoding: token, as: UTF8.self)) ?? 0])))
    }
    // After so many answers of the broker the new token comes.
    for steps in 0...2 {
      let ann = bench.arrive(token: "0")
      _ = ann.take()
      bench.broker.isQueuing = true
      ann.post(#"{"type":"join","room":"a","id":"j"}"#)
      ann.post(#"{"type":"message","room":"a","id":"m"}"#)
      for _ in 0..<steps { bench.broker.answerNext() }
      ann.post(#"{"type":"auth","token":"1"}"#)
      bench.exchangeAll(answersFirst: true) { bench.settle() }
      bench.broker.isQueuing = false
      let texts = ann.take()
      #expect(texts.contains { $0.string("id") == "j" && $0.string("code") == "forbidden" }, "\(steps): \(texts)")
      #expect(texts.contains { $0.string("id") == "m" && $0.string("code") == "not_joined" }, "\(steps): \(texts)")
      #expect(!texts.contains { $0.type == "joined" })
      bench.hub.close(ann.session)
    }
  }

  // MARK: Revocation

  private func revoke(_ bench: HubBench, _ subject: Revocation.Subject, for milliseconds: UInt64 = 60_000) -> UInt64? {
    var until: UInt64?
    bench.hub.revoke(subject, forMilliseconds: milliseconds) { until = try? $0.get() }
    return until
  }

  @Test("closes what a revoked token or user has opened, and refuses it until the time is up")
  func revocation() {
    let bench = HubBench()
    bench.hub.judgeToken = { token, conclude in
      let parts = String(decoding: token, as: UTF8.self).split(separator: "/")
      conclude(
        .accepted(
          Identity(user: Array(parts[0].utf8), issuedAt: UInt64(parts[1]), tokenID: Array(parts[2].utf8))))
    }
    let now = bench.clock.milliseconds
    let clients = ["ann/\(now - 5000)/j1", "ann/\(now - 5000)/j2", "ann/x/j3", "bob/\(now - 5000)/j4"]
      .map { bench.arrive(token: $0) }
    for client in clients { _ = client.take() }
    func ended() -> [Bool] { clients.map { bench.closes[$0.connection] == 4401 } }
    #expect(revoke(bench, .token(Array("j1".utf8))) == now + 60_000)
    #expect(ended() == [true, false, false, false])
    #expect(clients[0].take().map { $0.string("reason") } == ["revoked"])
    #expect(revoke(bench, .user(Array("ann".utf8), issuedUntil: now)) == now + 60_000)
    #expect(ended() == [true, true, true, false])
    func isRefused(_ token: String) -> Bool {
      let client = bench.arrive(token: token)
      return client.take().contains { $0.type == "auth_failed" && $0.string("reason") == "revoked" }
        && bench.closes[client.connection] == 4401
    }
    #expect(isRefused("ann/\(now)/j9") && isRefused("eve/\(now)/j1"))
    #expect(!isRefused("ann/\(now + 1)/j9"))
    bench.clock.milliseconds += 60_000
    bench.hub.expire()
    #expect(!isRefused("ann/\(now)/j9") && !isRefused("eve/\(now)/j1"))
  }

  @Test("refuses a revoked user also where names are believed")
  func revokedName() {
    let bench = HubBench()
    let ann = bench.open("ann")
    _ = revoke(bench, .user(Array("ann".utf8), issuedUntil: bench.clock.milliseconds))
    #expect(bench.closes[ann.connection] == 4401)
    let again = bench.open("ann")
    #expect(bench.closes[again.connection] == 4401)
    #expect(again.join().first?.string("code") == "unauthenticated")
    #expect(bench.closes[bench.open("bob").connection] == nil)
  }

  @Test("obeys what was revoked while the broker was away, and takes no more than may stand")
  func missedRevocation() {
    let bench = HubBench()
    let ann = bench.open("ann")
    bench.broker.goAway()
    #expect(revoke(bench, .user(Array("ann".utf8), issuedUntil: bench.clock.milliseconds)) == nil)
    bench.broker.comeBack()
    bench.broker.revoke(.user(Array("ann".utf8), issuedUntil: bench.clock.milliseconds), forMilliseconds: 1000) { _ in }
    #expect(bench.closes[ann.connection] == nil)
    bench.broker.comeBack()
    #expect(bench.closes[ann.connection] == 4401)
    // A broker that has forgotten everything is told again.
    bench.broker.forget()
    var kept: [Revocation]?
    bench.broker.revocations { kept = try? $0.get() }
    #expect(kept?.count == 1)
    for n in 1..<Limits.revocationsMax { #expect(revoke(bench, .token(Array("j\(n)".utf8))) != nil) }
    #expect(revoke(bench, .token(Array("one more".utf8))) == nil)
    #expect(revoke(bench, .token(Array("j1".utf8))) != nil)
  }
}
