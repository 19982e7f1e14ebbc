import ClientProtocol
import Testing

@testable import Realtime

@Suite("Hub, recovery")
struct RecoveryTests {
  @Test("waits for the history that a resume asked for, whatever else happens in the room meanwhile")
  func patientResume() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    let epoch = try #require(ann.join().first?.string("epoch"))
    for n in 1...5 { ann.publish("\"n\":\(n)") }
    bench.broker.isQueuing = true
    bob.post(#"{"type":"join","room":"r","since":{"epoch":"\#(epoch)","offset":1}}"#)
    bench.broker.answerNext()
    #expect(bob.take().isEmpty)
    try bench.broker.publishElsewhere("r", "\"n\":6")
    while !bench.broker.hearings.isEmpty { bench.broker.hearNext() }
    #expect(bob.take().isEmpty)
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    let seen = bob.take()
    #expect(seen.first?.json["recovered"]?.asBool == true, "\(seen)")
    #expect(seen.filter { $0.type == "message" }.compactMap { $0.int("n") } == Array(2...6))
  }

  @Test("reads lost messages from history and delivers them once, in order, before what came after")
  func repairsGap() throws {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isLosing = true
    for n in 2...4 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    bench.broker.isLosing = false
    try bench.broker.publishElsewhere("r", #""n":5"#)
    for client in [ann, bob] {
      #expect(client.take().filter { $0.type == "message" }.map { $0.int("n") } == [1, 2, 3, 4, 5])
    }
    #expect(bench.hub.counters.gapRecovered == 4)
    #expect(bench.hub.counters.gapLost == 0)
  }

  @Test("holds what arrives during a recovery, and delivers it behind what was missing")
  func holds() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isLosing = true
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isLosing = false
    bench.broker.isQueuing = true
    for n in 2...4 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    bench.broker.hearNext()
    bench.broker.hearNext()
    #expect(ann.take().isEmpty)
    bench.broker.answerNext()
    bench.broker.hearNext()
    #expect(ann.take().map { $0.int("n") } == [1, 2, 3, 4])
  }

  @Test("asks again within a second when the broker is there and refuses, as often as need be", arguments: [1, 2])
  func refused(refusals: Int) throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isLosing = true
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isLosing = false
    bench.broker.losesNextAnswer = true
    if refusals == 1 {
      try bench.broker.publishElsewhere("r", #""n":2"#)
    } else {
      bench.hub.roomsUnverified(where: nil)
    }
    #expect(ann.take().isEmpty)
    // The history, too, which follows a comparison that failed.
    if refusals == 2 { bench.broker.losesNextAnswer = true }
    for _ in 0..<refusals {
      bench.clock.milliseconds += 1000
      bench.hub.expire()
    }
    #expect(ann.take().map { $0.int("n") } == Array(1...(3 - refusals)))
    try bench.broker.publishElsewhere("r", #""n":3"#)
    #expect(ann.take().map { $0.int("n") } == [3])
  }

  @Test("compares rooms in which something doubtful was heard, and says nothing of those where nothing is missing")
  func doubts() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    for room in ["r", "whole"] { ann.join(room) }
    for room in ["r", "whole"] { try bench.broker.publishElsewhere(room, #""n":1"#) }
    bench.broker.isLosing = true
    for n in 2...3 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    bench.broker.isLosing = false
    _ = ann.take()
    bench.hub.roomsUnverified(where: nil)
    let texts = ann.take()
    #expect(texts.map { $0.int("n") } == [2, 3])
    #expect(texts.allSatisfy { $0.string("room") == "r" })
    for room in ["r", "whole"] { try bench.broker.publishElsewhere(room, #""n":4"#) }
    #expect(ann.take().map { $0.int("n") } == [4, 4])
  }

  @Test("lets a doubt neither end a recovery nor hide what it finds")
  func doubtsWhileRecovering() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isLosing = true
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isLosing = false
    bench.broker.isQueuing = true
    try bench.broker.publishElsewhere("r", #""n":2"#)
    bench.broker.hearNext()
    for _ in 0..<3 { bench.hub.roomsUnverified { $0 == Array("r".utf8) } }
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    #expect(ann.take().map { $0.int("n") } == [1, 2])
  }

  @Test("compares from what was acknowledged here when that is further than what was heard, within one epoch")
  func acknowledgedEnd() {
    let room = Room(name: Array("r".utf8))
    guard let epoch = Epoch(text: Array("a".utf8).span), let other = Epoch(text: Array("b".utf8).span) else {
      Issue.record("these are epochs")
      return
    }
    let stream = RoomStream(at: Position(epoch: epoch, offset: 5))
    room.phase = .live(stream)
    room.lastTimestamp = 77
    #expect(room.end(of: stream) == StreamEnd(position: Position(epoch: epoch, offset: 5), timestamp: 77))
    room.note(acknowledged: Position(epoch: other, offset: 90))
    room.note(acknowledged: Position(epoch: epoch, offset: 4))
    #expect(room.end(of: stream) == StreamEnd(position: Position(epoch: epoch, offset: 5), timestamp: 77))
    room.note(acknowledged: Position(epoch: epoch, offset: 9))
    room.note(acknowledged: Position(epoch: epoch, offset: 8))
    #expect(room.end(of: stream) == StreamEnd(position: Position(epoch: epoch, offset: 9), timestamp: 0))
    // What was acknowledged in the next epoch counts once the stream is there.
    room.begin(at: Position(epoch: other, offset: 80), lineage: [])
    #expect(room.stream.map { room.end(of: $0).position } == Position(epoch: other, offset: 90))
    room.begin(at: Position(epoch: epoch, offset: 5), lineage: [])
    #expect(room.stream.map { room.end(of: $0).position.offset } == 5)
  }

  @Test("says gap, with the first and last offset, for what history no longer holds")
  func saysGap() throws {
    let bench = HubBench(historySize: 2)
    let ann = bench.open("ann")
    ann.join()
    bench.broker.isLosing = true
    for n in 1...5 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    bench.broker.isLosing = false
    try bench.broker.publishElsewhere("r", #""n":6"#)
    let texts = ann.take()
    #expect(texts.map(\.type) == ["gap", "message", "message"])
    #expect(texts.first?.description == #"{"type":"gap","room":"r","from":1,"to":4}"#)
    #expect(texts.dropFirst().map { $0.int("offset") } == [5, 6])
    #expect(bench.hub.counters.gapLost == 4)
  }

  @Test("repairs what was published while the broker was away, and says restored behind it")
  func repairsAfterOutage() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.goAway()
    for n in 1...3 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    bench.broker.comeBack()
    let texts = ann.take()
    #expect(texts.filter { $0.type == "message" }.map { $0.int("n") } == [1, 2, 3])
    #expect(texts.map(\.type).filter { $0 != "message" } == ["degraded", "restored"])
  }

  @Test("tells the members of a new epoch by an unasked joined, and goes on in it")
  func newEpoch() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let old = ann.join().first?.string("epoch")
    try bench.broker.publishElsewhere("r", #""n":1"#)
    _ = ann.take()
    bench.broker.forget()
    try bench.broker.publishElsewhere("r", #""n":2"#)
    let texts = ann.take().filter { $0.type != "degraded" && $0.type != "restored" }
    #expect(texts.map(\.type) == ["joined", "message"])
    let joined = texts.first
    #expect(joined?.json["recovered"]?.asBool == false)
    #expect(joined?.string("id") == nil)
    #expect(joined?.string("epoch") != old)
    #expect(joined?.int("offset") == 0)
    #expect(texts.last?.int("offset") == 1)
  }

  @Test(
    "tells the members of a new master's epoch, in which nothing is missing, and resumes clients from the one before")
  func nextReign() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let old = ann.join().first?.string("epoch") ?? ""
    for n in 1...3 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    _ = ann.take()
    bench.broker.failOver(losing: 0)
    #expect(ann.take().map(\.type) == ["degraded", "restored"])
    try bench.broker.publishElsewhere("r", #""n":4"#)
    let texts = ann.take()
    #expect(texts.map(\.type) == ["joined", "message"])
    #expect(texts.first?.json["recovered"]?.asBool == true)
    #expect(texts.first?.string("epoch") != old && texts.first?.int("offset") == 3)
    #expect(texts.last?.int("offset") == 4)
    // The last has seen what no other master has.
    for (offset, isWhole) in [(1, true), (3, true), (4, false)] {
      let texts = bench.open("bob\(offset)").join(since: #"{"epoch":"\#(old)","offset":\#(offset)}"#)
      #expect(texts.first?.json["recovered"]?.asBool == isWhole)
      #expect(texts.compactMap { $0.int("n") } == (isWhole ? Array((offset + 1)...4) : []))
      let asked = #"{"type":"history","room":"r","id":"h","since":{"epoch":"\#(old)","offset":\#(offset)}}"#
      ann.post(asked)
      let history = ann.take().first { $0.type == "history" }?.json["messages"]?.asArray?.count
      #expect(history == (isWhole ? 4 - offset : 4))
    }
  }

  @Test("tells the members what a new master lacks, at once, and gives them all that it takes from there")
  func shortReign() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let old = ann.join().first?.string("epoch") ?? ""
    for n in 1...3 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    _ = ann.take()
    bench.broker.failOver(losing: 2)
    let told = ann.take().first { $0.type == "joined" }
    #expect(told?.json["recovered"]?.asBool == false)
    #expect(told?.string("epoch") != old && told?.int("offset") == 1)
    try bench.broker.publishElsewhere("r", #""n":4"#)
    #expect(ann.take().map { $0.int("offset") } == [2])
    let bob = bench.open("bob").join(since: #"{"epoch":"\#(old)","offset":3}"#)
    #expect(bob.first?.json["recovered"]?.asBool == false)
  }

  @Test("gives nothing twice when a former master comes back with messages that the one between lacked")
  func formerMaster() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    for n in 1...7 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    let first = bench.broker.master
    bench.broker.failOver(losing: 3)
    for n in 8...9 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    #expect(ann.take().filter { $0.type == "message" }.map { $0.int("n") } == Array(1...9))
    let second = bench.broker.master
    bench.broker.failBack(to: first)
    try bench.broker.publishElsewhere("r", #""n":10"#)
    var texts = ann.take().filter { $0.type == "joined" || $0.type == "message" }
    #expect(texts.map(\.type) == ["joined", "message"], "\(texts)")
    #expect(texts.first?.json["recovered"]?.asBool == false)
    #expect(texts.first?.int("offset") == 7 && texts.last?.int("offset") == 8)
    // And once more, to the one between.
    bench.broker.failBack(to: second)
    try bench.broker.publishElsewhere("r", #""n":11"#)
    texts = ann.take().filter { $0.type == "joined" || $0.type == "message" }
    #expect(texts.map(\.type) == ["joined", "message"], "\(texts)")
    #expect(texts.first?.int("offset") == 6 && texts.last?.int("n") == 11)
  }

  @Test("does not say that nothing is missing when a new master lacks what was acknowledged here and never heard")
  func unheardAck() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    try bench.broker.publishElsewhere("r", #""n":1"#)
    bench.broker.isLosing = true
    ann.send(#"{"type":"message","room":"r","id":"m","n":2}"#)
    _ = ann.take()
    bench.broker.failOver(losing: 1)
    bench.broker.isLosing = false
    try bench.broker.publishElsewhere("r", #""n":3"#)
    let texts = ann.take().filter { $0.type == "joined" || $0.type == "message" }
    #expect(texts.map(\.type) == ["joined", "message"])
    #expect(texts.first?.json["recovered"]?.asBool == false)
    #expect(texts.first?.int("offset") == 1 && texts.last?.int("offset") == 2)
  }

  @Test("resumes from every offset: the missed ones in order, then live ones; not beyond the history")
  func resumes() throws {
    for offset in 0...10 {
      let bench = HubBench(historySize: 6)
      let ann = bench.open("ann")
      let epoch = ann.join().first?.string("epoch") ?? ""
      for n in 1...10 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
      let bob = bench.open("bob")
      var texts = bob.join(since: #"{"epoch":"\#(epoch)","offset":\#(offset)}"#)
      try bench.broker.publishElsewhere("r", #""n":11"#)
      texts += bob.take()
      let isRecovered = offset >= 4
      #expect(texts.first?.json["recovered"]?.asBool == isRecovered, "since \(offset)")
      #expect(texts.first?.int("offset") == 10)
      let expected = isRecovered ? Array(offset + 1...11) : [11]
      #expect(texts.dropFirst().compactMap { $0.int("n") } == expected, "since \(offset)")
    }
  }

  @Test("does not recover from an offset that was never given, or from another epoch")
  func wrongSince() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let epoch = ann.join().first?.string("epoch") ?? ""
    try bench.broker.publishElsewhere("r", #""n":1"#)
    for since in [#"{"epoch":"\#(epoch)","offset":2}"#, #"{"epoch":"1","offset":1}"#] {
      let texts = bench.open("bob").join(since: since)
      #expect(texts.map(\.type) == ["joined"])
      #expect(texts.first?.json["recovered"]?.asBool == false, "\(since)")
    }
  }

  @Test("reads history once for everyone who resumes at the same time")
  func sharedRecall() throws {
    let bench = HubBench()
    let ann = bench.open("ann")
    let epoch = ann.join().first?.string("epoch") ?? ""
    for n in 1...10 { try bench.broker.publishElsewhere("r", "\"n\":\(n)") }
    _ = ann.take()
    let returning = (0..<20).map { bench.open("user\($0)") }
    bench.broker.isQueuing = true
    for (n, client) in returning.enumerated() {
      client.post(#"{"type":"join","room":"r","since":{"epoch":"\#(epoch)","offset":\#(n % 5)}}"#)
    }
    for _ in returning { bench.broker.answerNext() }
    bench.settle()
    bench.exchangeAll(answersFirst: true) { bench.settle() }
    for (n, client) in returning.enumerated() {
      let texts = client.take().filter { $0.type != "user_joined" }
      #expect(texts.first?.json["recovered"]?.asBool == true)
      #expect(texts.dropFirst().compactMap { $0.int("n") } == Array(n % 5 + 1...10), "client \(n)")
    }
    // One for each place from which somebody resumes at most, however many they are.
    #expect((1...5).contains(bench.broker.historyReads), "\(bench.broker.historyReads)")
  }
}
