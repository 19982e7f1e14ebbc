import ClientProtocol
import SocketIOCore
import Testing
import TimeCore

@testable import Server

@Suite("Engine.IO in memory")
struct EngineTests {
  @Test("answers a poll with what waits, or when something comes")
  func polls() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    #expect(poller.post("40")?.text == "ok")
    #expect(poller.packets().first?.hasPrefix("40{") == true)
    poller.poll()
    #expect(poller.isWaiting && poller.take() == nil)
    poller.post(#"427["e"]"#)
    let packets = poller.take()?.text.split(separator: "\u{1E}").map { $0.prefix(4) } ?? []
    #expect(Set(packets) == ["437[", "42[\""])
  }

  @Test("ends the connection at a second poll or request at a time, at nonsense, and at what is too large")
  func overlap() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    poller.poll()
    var second: ConnectionAnswer?
    table.parts.engines.poll(Array(poller.sid.utf8), on: nil) { second = $0 }
    #expect(poller.take()?.text == "1" && second?.status == 400)
    table.endTick()
    #expect(poller.post("3")?.status == 400 && table.parts.sessions.count == 0)

    let nonsense = MemoryPoller(table)
    #expect(nonsense.post("abc")?.status == 400 && nonsense.post("3")?.status == 400)

    let large = MemoryPoller(table)
    let max = table.parts.engines.limits.payloadBytesMax
    #expect(large.post("4" + String(repeating: "x", count: max))?.status == 413 && large.post("3")?.status == 400)

    let twice = MemoryPoller(table)
    twice.post("40")
    table.parts.socketIO.pauseReading(0)
    #expect(twice.post(#"42["a"]"#) == nil && twice.post("3")?.status == 400)
    #expect(table.parts.engines.store.count == 0)
  }

  @Test("ends a poll that waits when its connection is upgraded, and moves what waits to the WebSocket, in order")
  func upgrade() {
    let table = MemoryConnections()
    let source = table.openSocketIO("s")
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    poller.poll()
    let webSocket = table.openEngine(sid: poller.sid)
    _ = table.takeSent(webSocket)
    table.receive(.text, "2probe", on: webSocket)
    table.endTick()
    #expect(table.takePackets(webSocket) == ["3probe"] && poller.take()?.text == "6")
    for n in 1...3 { table.receive(.text, #"42["n",\#(n)]"#, on: source) }
    table.receive(.text, #"451-["n",{"_placeholder":true,"num":0}]"#, on: source)
    table.receive(.binary, "abc", on: source)
    table.endTick()
    #expect(table.takePackets(webSocket).isEmpty)
    table.receive(.text, "5", on: webSocket)
    table.receive(.text, #"42["n",4]"#, on: source)
    table.endTick()
    let packets = table.takePackets(webSocket)
    #expect(packets.filter { $0.hasPrefix("42") }.map { $0.split(separator: ",")[1] } == ["1", "2", "3", "4"])
    #expect(packets.contains("babc"))
    #expect(poller.post("3")?.status == 400)
    #expect(table.openEngine(sid: poller.sid) != webSocket && table.parts.engines.store.count == 2)
  }

  @Test("stays with polls when the WebSocket breaks off")
  func brokenUpgrade() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    let webSocket = table.openEngine(sid: poller.sid)
    table.receive(.text, "2probe", on: webSocket)
    table.endTick()
    table.drop(webSocket)
    table.endTick()
    poller.poll()
    #expect(poller.isWaiting)
    poller.post(#"42["e"]"#)
    #expect(poller.take()?.text.hasPrefix(#"42["e","#) == true)
  }

  @Test("forgets a connection whose poll has gone")
  func gone() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    let http = table.open()
    let id = table.parts.connections.id(at: http)
    table.parts.engines.poll(Array(poller.sid.utf8), on: id) { _ in Issue.record("nobody is there") }
    table.drop(http)
    table.endTick()
    #expect(table.parts.engines.store.count == 0)
  }

  @Test("has ids that nobody guesses and that name the node")
  func ids() throws {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    let sid = Array(poller.sid.utf8)
    #expect(EngineID.node(of: sid) == Array("n1".utf8) && table.parts.engines.store.find(sid) != nil)
    for index in sid.indices.suffix(48) {
      var other = sid
      other[index] = other[index] == UInt8(ascii: "0") ? UInt8(ascii: "1") : UInt8(ascii: "0")
      #expect(table.parts.engines.store.find(other) == nil)
    }
    for text in ["", "n1", "n1-", "n1-" + String(repeating: "g", count: 48)] {
      #expect(table.parts.engines.store.find(Array(text.utf8)) == nil)
    }
  }

  @Test("reads the offsets and ids that it writes, and nothing else")
  func recoveryTexts() throws {
    let digits = Array("ab12".utf8)
    let known = Epoch(text: digits.span)
    let epoch = try #require(known)
    let position = Position(epoch: epoch, offset: 7)
    let names = ["socketio", "a,b@c~%\"\\", "ü ü", "/chat#x"].map { Array($0.utf8) }
    let rooms = SocketRooms(names.map { ($0, position) })
    let text = rooms.offset
    #expect(text.allSatisfy { (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "\"") && $0 != UInt8(ascii: "\\") })
    let read = RecoveryOffset.places(in: text, defaultRoom: [], roomsMax: 4)
    #expect(read == names.map { RecoveryPlace(room: $0, since: position) })
    let place = try #require(rooms.place(of: names[1]))
    let there = text[..<place.lowerBound] + Array("ab12:9".utf8) + text[place.upperBound...]
    #expect(rooms.moved(names[1], to: position.at(9)).offset == Array(there) && rooms.place(of: Array("x".utf8)) == nil)
    for name in names {
      let back = rooms.left(name).joined(name, at: position)
      let order = names.filter { $0 != name } + [name]
      #expect(back.offset == SocketRooms(order.map { ($0, position) }).offset, "each room may be left")
    }
    #expect(rooms.joined(names[0], at: nil) === rooms && rooms.joined(names[0], at: position).isSame(as: rooms))
    let last = SocketRooms([(names[0], nil)])
    #expect(last.onlyRoom == names[0] && last.left(names[0]).offset == Array("~".utf8))
    #expect(RecoveryOffset.places(in: text, defaultRoom: [], roomsMax: 3) == nil)
    for text in ["", "x", "~a", "~a@x", "~a@ab12:1,a@ab12:2", "~%4@ab12:1", "~@ab12:1"] {
      #expect(RecoveryOffset.places(in: Array(text.utf8), defaultRoom: [], roomsMax: 9) == nil, "\(text)")
    }
    let id = RecoveryID(start: position, user: names[1])
    let again = try #require(RecoveryID(id.makeText()))
    #expect(again.start == position && again.user == names[1] && id.makeText() != id.makeText())
    for text in ["", "nobody", "0123456789abcdef.ab12:7", "0123456789abcdeF.ab12:7.u", "0123456789abcdef.x.u"] {
      #expect(RecoveryID(Array(text.utf8)) == nil, "\(text)")
    }
  }

  @Test("pings each interval, and gives up a client that does not answer, by either transport")
  func heartbeat() {
    let (interval, timeout) = (Interval.milliseconds(300), Interval.milliseconds(200))
    let table = MemoryConnections { ($0.pingInterval, $0.pingTimeout) = (interval, timeout) }
    let poller = MemoryPoller(table)
    let webSocket = table.openEngine()
    _ = table.takeSent(webSocket)
    for _ in 1...3 {
      table.runTimers(of: interval)
      #expect(poller.packets() == ["2"] && table.takePackets(webSocket) == ["2"])
      poller.post("3")
      table.receive(.text, "3", on: webSocket)
      table.runTimers(of: timeout)
      #expect(table.parts.engines.store.count == 2)
    }
    table.runTimers(of: interval)
    table.runTimers(of: timeout)
    #expect(table.metrics.ghosts >= 1 && poller.post("3")?.status == 400)
  }

  @Test("closes a connection that is in no namespace in time")
  func connectDeadline() {
    let table = MemoryConnections { $0.pingInterval = .seconds(1) }
    let poller = MemoryPoller(table)
    let connected = table.openSocketIO("a")
    let webSocket = table.openEngine()
    table.runTimers(of: .seconds(45))
    #expect(table.stage(webSocket) == .closing && table.stage(connected) == .engine)
    #expect(poller.packets() == ["1"] && poller.post("3")?.status == 400)
    // The one that leaves its last namespace has the same time again.
    table.receive(.text, "41", on: connected)
    table.endTick()
    table.runTimers(of: .seconds(45))
    #expect(table.stage(connected) == .closing)
  }

  @Test("takes no more of a client that asks and does not poll, until it has")
  func unread() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    // Answers do not count against the limit of the queue.
    let count = 22_000
    let asked = Array(repeating: #"420["request",{"action":"whoami"}]"#, count: count).joined(separator: "\u{1E}")
    #expect(poller.post(asked) == nil, "the rest of the request waits")
    #expect(table.parts.engines.pollQueuedBytes < EngineLimits.answersBytesMax * 2)
    var answers = 0
    while poller.isWaiting == false, answers < count {
      let packets = poller.packets()
      answers += packets.filter { $0.hasPrefix("430[") }.count
    }
    #expect(answers == count && table.metrics.slowConsumers == 0)
  }
}
