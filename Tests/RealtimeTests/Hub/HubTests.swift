import JSONCore
import Testing

@testable import Realtime

@Suite("Hub, operations")
struct HubTests {
  @Test("carries a message's members byte for byte: long numbers, key order, escapes, blanks")
  func passThrough() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    let table = [
      #""n":12345678901234567890.10"#, #""b":1,"a":2,"b":3"#, #""t":"\u00e9\/\ud83d\ude00 é""#,
      #""o":{"type":"inner","user":"inner","room":[]}"#, #""e":1.0E+5, "blank" : [ 1 , 2 ]"#, #""x":null,"y":true"#,
    ]
    _ = bob.take()
    for members in table {
      ann.publish(members)
      let texts = bob.take()
      #expect(texts.count == 1)
      #expect(texts.first?.description.hasSuffix("," + members + "}") == true, "\(members) became \(texts)")
    }
  }

  @Test("drops members that belong to the protocol, however they are spelled, and wherever they stand")
  func smuggling() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    ann.join()
    bob.join()
    let table = [
      (#""user":"root","a":1"#, #","a":1}"#), (#""a":1,"\u0075ser":"root""#, #","a":1}"#),
      (#""offset":9,"ts":9,"a":1,"id":"i","echo":false"#, #","a":1}"#),
      (#""a":1,"\u0074s":[{}],"b":2"#, #","a":1,"b":2}"#), (#""o\u0066fset":1"#, "}"),
    ]
    _ = bob.take()
    for (members, end) in table {
      ann.publish(members)
      let text = bob.take().first
      #expect(text?.description.hasSuffix(end) == true, "\(members) became \(text?.description ?? "nothing")")
      let object = text?.json.asObject ?? []
      #expect(Set(object.map(\.key)).count == object.count)
      #expect(text?.string("user") == "ann")
    }
  }

  @Test("acks only what carries an id, and repeats the id byte for byte")
  func acks() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    #expect(ann.publish(#""a":1"#).isEmpty)
    let ack = ann.publish(#""id":"\u0061b""#)
    #expect(ack.map(\.type) == ["ack"])
    #expect(ack.first?.description.contains(#""id":"\u0061b""#) == true)
    #expect(ack.first?.int("offset") == 2)
    // The same id, spelled otherwise.
    #expect(ann.publish(#""id":"ab""#).first?.int("offset") == 2)
    bench.clock.milliseconds += Limits.dedupeMilliseconds + 1
    bench.broker.expire()
    #expect(ann.publish(#""id":"ab""#).first?.int("offset") == 3)
  }

  @Test("takes operations behind a join at once and answers them in their order", arguments: [false, true])
  func pipelined(slowBroker: Bool) {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    bob.join()
    bench.broker.isQueuing = slowBroker
    ann.post(#"{"type":"join","room":"r","id":"1"}"#)
    ann.post(#"{"type":"message","room":"r","id":"2","a":1}"#)
    ann.post(#"{"type":"leave","room":"r","id":"3"}"#)
    ann.post(#"{"type":"join","room":"r","id":"4"}"#)
    ann.post(#"{"type":"message","room":"r","id":"5","a":2}"#)
    var answers: [Text] = []
    for _ in 0..<20 {
      answers += ann.take()
      bench.broker.answerNext()
      bench.broker.hearNext()
    }
    bench.broker.isQueuing = false
    answers += ann.take()
    let ids = answers.compactMap { $0.string("id") }
    #expect(Set(ids) == ["1", "2", "3", "4", "5"], "\(answers)")
    #expect(answers.filter { $0.type == "error" }.isEmpty, "\(answers)")
    #expect(ids.filter { "134".contains($0) } == ["1", "3", "4"])
    #expect(bob.take().filter { $0.type == "message" }.compactMap { $0.int("a") } == [1, 2])
  }

  @Test("refuses operations that wait for a join beyond the limit, and still does the others")
  func pipelinedTooMany() {
    let bench = HubBench()
    bench.broker.isQueuing = true
    let ann = bench.open("ann")
    ann.post(#"{"type":"join","room":"r"}"#)
    for _ in 0..<(Limits.postponedOperationsMax + 1) { ann.post(#"{"type":"message","room":"r"}"#) }
    #expect(ann.take().map { $0.string("code") } == ["unavailable"])
    bench.broker.isQueuing = false
    while !bench.broker.answers.isEmpty { bench.broker.answerNext() }
    bench.settle()
    #expect(bench.broker.position(of: "r")?.offset == UInt64(Limits.postponedOperationsMax))
  }

  @Test("delivers with echo to the sender, without echo to its other sessions only")
  func echo() {
    let bench = HubBench()
    let (first, second) = (bench.open("ann"), bench.open("ann"))
    first.join()
    second.join()
    #expect(first.publish(#""echo":true"#).map(\.type) == ["message"])
    #expect(second.take().map(\.type) == ["message"])
    #expect(first.publish(#""echo":false"#).isEmpty)
    #expect(second.take().map(\.type) == ["message"])
  }

  @Test("answers a join idempotently and a leave of a room that was never joined")
  func joinAndLeave() {
    let bench = HubBench()
    let (ann, bob) = (bench.open("ann"), bench.open("bob"))
    #expect(ann.join().map(\.type) == ["joined"])
    #expect(ann.join().map(\.type) == ["joined"])
    #expect(bob.join().first?.int("members") == 2)
    #expect(ann.take().map(\.type) == ["user_joined"])
    #expect(bob.send(#"{"type":"leave","room":"elsewhere"}"#).map(\.type) == ["left"])
    #expect(bob.send(#"{"type":"leave","room":"r"}"#).map(\.type) == ["left"])
    #expect(ann.take().map(\.description) == [#"{"type":"user_left","room":"r","user":"bob"}"#])
    #expect(bob.publish(#""id":"1""#).first?.string("code") == "not_joined")
    #expect(ann.take().isEmpty)
  }

  @Test("groups presence by user, with connections, earliest since and info")
  func presence() {
    let bench = HubBench()
    let (first, second, bob) = (bench.open("ann"), bench.open("ann"), bench.open("bob"))
    let start = Int(bench.clock.milliseconds)
    first.join()
    bench.clock.milliseconds += 10
    second.join()
    bob.join()
    let presence = bob.send(#"{"type":"presence","room":"r","id":"p"}"#).first { $0.type == "presence" }
    #expect(presence?.string("id") == "p")
    #expect(presence?.int("count") == 2)
    let ann = presence?.json["members"]?.asArray?.first
    #expect(ann?["user"]?.asString == "ann")
    #expect(ann?["connections"]?.asInt == 2)
    #expect(ann?["since"]?.asInt == start)
    bench.hub.close(first.session)
    #expect(!bob.take().contains { $0.type == "user_left" })
    bench.hub.close(second.session)
    bench.hub.close(second.session)
    #expect(bob.take().map(\.type) == ["user_left"])
    #expect(bob.send(#"{"type":"presence","room":"r"}"#).first?.int("count") == 1)
  }

  @Test("carries direct messages, broadcasts and binary messages")
  func otherRoads() {
    let bench = HubBench()
    let (ann, first, second) = (bench.open("ann"), bench.open("bob"), bench.open("bob"))
    #expect(ann.send(#"{"type":"direct","to":"b\u006fb","id":"d","x":[1]}"#).first?.int("delivered") == 2)
    for bob in [first, second] {
      #expect(bob.take().first?.description.hasSuffix(#""x":[1]}"#) == true)
    }
    #expect(ann.send(#"{"type":"direct","to":"eve","id":"d"}"#).first?.int("delivered") == 0)
    #expect(ann.send(#"{"type":"broadcast","id":"b","x":2}"#).map(\.type) == ["ack"])
    #expect(first.take().first?.description.hasPrefix(#"{"type":"broadcast","user":"ann""#) == true)
    for client in [ann, first] { client.join() }
    let message = [1, 1] + Array("r".utf8) + [0xFF, 0x00]
    bench.hub.receive(binary: message.span, from: ann.session)
    bench.settle()
    #expect(bench.binaries[first.connection] == [[1, 1] + Array("r".utf8) + [3] + Array("ann".utf8) + [0xFF, 0x00]])
    #expect(bench.binaries[ann.connection] == nil)
  }

  @Test("answers history in ascending order, after an offset, and from the start after an epoch that is gone")
  func history() {
    let bench = HubBench()
    let ann = bench.open("ann")
    let epoch = ann.join().first?.string("epoch") ?? ""
    for n in 1...5 { ann.publish("\"n\":\(n)") }
    func numbers(_ members: String) -> [Int?] {
      let answer = ann.send(#"{"type":"history","room":"r"\#(members)}"#).first
      #expect(answer?.string("epoch") == epoch)
      return answer?.json["messages"]?.asArray?.map { $0["n"]?.asInt } ?? []
    }
    #expect(numbers("") == [1, 2, 3, 4, 5])
    #expect(numbers(#","limit":2"#) == [4, 5])
    #expect(numbers(#","since":{"epoch":"\#(epoch)","offset":3}"#) == [4, 5])
    #expect(numbers(#","since":{"epoch":"abc","offset":3}"#) == [1, 2, 3, 4, 5])
    bench.clock.milliseconds += 300_001
    #expect(numbers("").isEmpty)
  }

  @Test("refuses what passes its limits: rooms for each connection, operations a second")
  func limits() {
    let bench = HubBench {
      $0.roomsPerConnectionMax = 2
      $0.operationsPerSecond = 5
    }
    let ann = bench.open("ann")
    ann.join("a")
    ann.join("b")
    #expect(ann.join("c").first?.string("code") == "too_many_rooms")
    #expect(ann.join("a").first?.type == "joined")
    ann.send(#"{"type":"leave","room":"a"}"#)
    #expect(ann.join("c").first?.string("code") == "rate_limited")
    bench.clock.milliseconds += 200
    #expect(ann.join("c").first?.type == "joined")
    #expect(ann.send(#"{"type":"ping"}"#).first?.string("code") == "rate_limited")
    bench.clock.milliseconds += 60_000
    for _ in 0..<5 { #expect(ann.send(#"{"type":"ping"}"#).first?.type == "pong") }
    #expect(ann.send(#"{"type":"ping","id":"p"}"#).first?.string("id") == "p")
  }

  @Test("tells everyone degraded and restored once, and newcomers in between that it is degraded")
  func degraded() {
    let bench = HubBench()
    let ann = bench.open("ann")
    ann.join()
    bench.broker.goAway()
    bench.broker.goAway()
    #expect(ann.take().map(\.type) == ["degraded"])
    #expect(ann.publish(#""id":"m""#).first?.string("code") == "unavailable")
    #expect(ann.join("other").first?.string("code") == "unavailable")
    #expect(ann.send(#"{"type":"history","room":"r"}"#).first?.string("code") == "unavailable")
    bench.broker.comeBack()
    #expect(ann.take().map(\.type) == ["restored"])
    #expect(ann.publish(#""id":"m""#).first?.type == "ack")
    #expect(ann.join("other").first?.type == "joined")
  }

  @Test("obeys an order to disconnect a user or a connection")
  func disconnect() {
    let bench = HubBench()
    let (first, second, bob) = (bench.open("ann"), bench.open("ann"), bench.open("bob"))
    bench.hub.disconnect(user: Array("ann".utf8)) { _ in }
    #expect(bench.closes == [first.connection: 4409, second.connection: 4409])
    let name = bob.send(#"{"type":"request","action":"whoami"}"#).first?.json["payload"]?["connection"]?.asBytes ?? []
    bench.hub.disconnect(connection: name) { _ in }
    #expect(bench.closes[bob.connection] == 4409)
  }
}
