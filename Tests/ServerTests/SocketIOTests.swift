import SocketIOCore
import Testing

@testable import Server

@Suite("Socket.IO in memory")
struct SocketIOTests {
  private func position(_ packet: String) -> String { String(packet.split(separator: "\"").dropLast().last ?? "") }

  @Test("brings an event to everyone in the namespace with its offset, the sender included, and acks it")
  func event() {
    let table = MemoryConnections()
    let (a, b, other) = (table.openSocketIO("a"), table.openSocketIO("b"), table.openSocketIO("c", "/chat"))
    _ = (table.takeSent(a), table.takeSent(b))
    table.receive(.text, #"427["hello",{"n":1},[2]]"#, on: a)
    table.endTick()
    let own = table.takePackets(a)
    let offset = position(table.takePackets(b).joined())
    #expect(offset.hasSuffix(":1"))
    let event = #"42["hello",{"n":1},[2],"\#(offset)"]"#
    #expect(Set(own) == [#"437[{"ok":true,"room":"socketio","epoch":"\#(offset.dropLast(2))","offset":1}]"#, event])
    #expect(table.takePackets(other).isEmpty)
  }

  @Test("brings binary arguments as attachments, to native members as base64")
  func binary() {
    let table = MemoryConnections()
    let (a, b) = (table.openSocketIO("a"), table.openSocketIO("b"))
    let native = table.openWebSocket("n")
    table.receive(.text, #"{"type":"join","room":"socketio"}"#, on: native)
    table.endTick()
    _ = (table.takeSent(a), table.takeSent(b), table.takeSent(native))
    table.receive(.text, #"451-["bin",{"_placeholder":true,"num":0},"t"]"#, on: a)
    table.receive(.binary, "xyz", on: a)
    table.endTick()
    let packets = table.takePackets(b)
    #expect(packets.count == 2 && packets.first?.hasPrefix(#"451-["bin",{"_placeholder":true,"num":0},"t",""#) == true)
    #expect(packets.last == "bxyz")
    #expect(table.takeText(native).contains(#""event":"bin","args":[{"$binary":"eHl6"},"t"]"#))
  }

  @Test("names all rooms in the offsets of a socket that has joined others, and tells it where it is")
  func rooms() {
    let table = MemoryConnections()
    let (a, b) = (table.openSocketIO("a"), table.openSocketIO("b"))
    table.receive(.text, #"421["join","r"]"#, on: b)
    table.endTick()
    let joined = table.takePackets(b)
    #expect(joined.count == 2 && joined[0].hasPrefix(#"431[{"type":"joined","room":"r","#))
    #expect(joined[1].hasPrefix(#"42["joined",{"type":"joined","room":"r""#))
    #expect(position(joined[1]).hasPrefix("~socketio@") && position(joined[1]).contains(",r@"))
    table.receive(.text, #"42["e"]"#, on: a)
    table.endTick()
    let event = table.takePackets(b).joined()
    let parts = position(event).split(separator: ",")
    #expect(parts.count == 2 && parts[0].hasSuffix(":1") && parts[1].hasSuffix(":0"))
    table.receive(.text, #"422["leave","r"]"#, on: b)
    table.endTick()
    let left = table.takePackets(b)
    #expect(left.count == 2 && left[1].hasPrefix(#"42["left",{"type":"left","room":"r"},""#))
    #expect(position(left[1]).hasSuffix(":1") && !position(left[1]).contains("~"))
  }

  @Test("gives back to a client that returns what it missed, in all its rooms, after the answer to its CONNECT")
  func recovery() {
    let table = MemoryConnections()
    let source = table.openSocketIO("s")
    let index = table.openEngine()
    _ = table.takeSent(index)
    table.connect(index, "a")
    let id = position(table.takePackets(index)[0])
    table.receive(.text, #"421["join","r"]"#, on: index)
    table.receive(.text, #"42["join","r"]"#, on: source)
    table.endTick()
    let offset = position(table.takePackets(index)[1])
    table.drop(index)
    table.endTick()
    table.receive(.text, #"42["x",1]"#, on: source)
    table.receive(.text, #"42["message",{"room":"r","event":"y","args":[2]}]"#, on: source)
    table.endTick()
    let again = table.openEngine()
    _ = table.takeSent(again)
    table.connect(again, "a", more: #","pid":"\#(id)","offset":"\#(offset)""#)
    let packets = table.takePackets(again)
    #expect(position(packets[0]) == id, "recovered is true where the id is the same")
    #expect(packets.dropFirst().map { String($0.prefix(8)) }.sorted() == [#"42["x",1"#, #"42["y",2"#])
    // Another user gets nothing of it.
    let stranger = table.openEngine()
    _ = table.takeSent(stranger)
    table.connect(stranger, "m", more: #","pid":"\#(id)","offset":"\#(offset)""#)
    let answer = table.takePackets(stranger)
    #expect(position(answer[0]) != id && answer.count == 2 && answer[1].hasPrefix(#"42["joined""#), "\(answer)")
  }

  @Test("returns a client that got no event to where it began")
  func recoveryWithoutOffset() {
    let table = MemoryConnections()
    let source = table.openSocketIO("s")
    let index = table.openEngine()
    _ = table.takeSent(index)
    table.connect(index, "a")
    let id = position(table.takePackets(index)[0])
    table.drop(index)
    table.receive(.text, #"42["x",1]"#, on: source)
    table.endTick()
    let again = table.openEngine()
    _ = table.takeSent(again)
    table.connect(again, "a", more: #","pid":"\#(id)""#)
    let packets = table.takePackets(again)
    #expect(position(packets[0]) == id && packets.count == 2 && packets[1].hasPrefix(#"42["x",1"#))
  }

  @Test("refuses what only the server says, namespaces that are not listed, and one namespace too many")
  func refusals() {
    let table = MemoryConnections()
    table.parts.connects.configuration.namespaces = NamespaceList(patterns: [Array("/".utf8), Array("/n*".utf8)])
    let index = table.openSocketIO("a")
    table.receive(.text, #"425["user_joined",{}]"#, on: index)
    table.endTick()
    let refused = table.takePackets(index)
    #expect(
      refused.count == 1 && refused[0].hasPrefix(#"435[{"ok":false,"code":"forbidden","message":"only the server"#))
    table.connect(index, "a", "/x")
    #expect(table.takePackets(index) == [#"44/x,{"message":"Invalid namespace"}"#])
    for n in 1..<EngineLimits.namespacesMax { table.connect(index, "a", "/n\(n)") }
    let sessions = table.parts.sessions.count
    #expect(sessions == EngineLimits.namespacesMax)
    _ = table.takeSent(index)
    table.connect(index, "a", "/nn")
    #expect(table.takePackets(index).joined().contains("too_many_rooms"))
    #expect(table.parts.sessions.count == sessions)
  }

  @Test("sends a DISCONNECT packet to a client that an admin disconnects, and keeps its connection")
  func dismissal() {
    let table = MemoryConnections()
    let index = table.openSocketIO("a")
    table.parts.socketIO.close(0, because: .closedByAdmin)
    table.endTick()
    #expect(table.takePackets(index) == ["41"])
    #expect(table.stage(index) == .engine && table.parts.sessions.count == 0)
    // What it sent before it knew is ignored; it may connect again.
    table.receive(.text, #"42["late"]"#, on: index)
    table.connect(index, "a")
    #expect(table.takePackets(index).joined().hasPrefix("40{"))
    // A drain closes the connection, so that its client returns.
    table.parts.socketIO.close(0, because: .draining)
    table.endTick()
    #expect(table.stage(index) == .closing && table.parts.engines.store.count == 0)
  }

  @Test("closes on packets that make no sense")
  func faults() {
    for packet in ["", "9", "4", "49", #"42[1"#, #"42{"a":1}"#, "451-[\"e\"]", #"42/nowhere,["e"]"#, "40", "2", "b4"] {
      let table = MemoryConnections()
      let index = table.openSocketIO("a")
      table.receive(.text, packet, on: index)
      table.endTick()
      #expect(table.stage(index) == .lingering || table.stage(index) == .finishing, "\(packet)")
      #expect(table.parts.sessions.count == 0 && table.metrics.protocolErrors == 1, "\(packet)")
    }
  }

  @Test("reads a client whose operations wait no further, over polls too, and answers the request when all are taken")
  func pause() {
    let table = MemoryConnections()
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    table.parts.socketIO.pauseReading(0)
    #expect(poller.post(#"421["a"]"#, #"422["b"]"#) == nil)
    table.parts.socketIO.resumeReading(0)
    table.endTick()
    #expect(poller.packets().filter { $0.hasPrefix("43") }.count == 2)
  }

  @Test("closes a slow reader, by either transport, and counts it")
  func slow() {
    let table = MemoryConnections { $0.queueBytesMax = 4096 }
    let (source, slow) = (table.openSocketIO("s"), table.openSocketIO("a"))
    let poller = MemoryPoller(table)
    poller.post("40")
    _ = poller.packets()
    table.wire(slow).capacity = 0
    let text = String(repeating: "x", count: 1500)
    for n in 0..<4 {
      table.receive(.text, #"42["e",\#(n),"\#(text)"]"#, on: source)
      table.endTick()
      _ = table.takeSent(source)
    }
    #expect(table.metrics.slowConsumers == 2 && table.stage(slow) == .closing && table.parts.sessions.count == 1)
    // It comes back after an error; after the packet `close` some clients stay away.
    poller.poll()
    #expect(poller.take()?.status == 400)
  }
}
