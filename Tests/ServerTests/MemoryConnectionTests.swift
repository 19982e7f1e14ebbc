import Realtime
import Testing
import TimeCore
import WebSocketCore

@testable import Server

@Suite("Connections in memory: bytes in, bytes out")
struct MemoryConnectionTests {
  private static let request = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"

  @Test("answers a request, however its bytes are split")
  func split() {
    let whole = MemoryConnections()
    let first = whole.open()
    whole.receive(MemoryConnectionTests.request, on: first)
    whole.endTick()
    let answer = whole.takeText(first)
    #expect(answer.hasPrefix("HTTP/1.1 200 ") && answer.hasSuffix("\r\n\r\nyou asked for /a\n"))
    let bytes = Array(MemoryConnectionTests.request.utf8)
    for place in 1..<bytes.count {
      let table = MemoryConnections()
      let index = table.open()
      table.receive(Array(bytes[..<place]), on: index)
      table.endTick()
      #expect(table.takeSent(index).isEmpty)
      table.receive(Array(bytes[place...]), on: index)
      table.endTick()
      #expect(table.takeText(index) == answer)
    }
  }

  @Test("answers requests that came together one at a time, each when the answer before is taken")
  func pipeline() {
    let table = MemoryConnections()
    let index = table.open()
    table.wire(index).capacity = 0
    table.receive(MemoryConnectionTests.request + MemoryConnectionTests.request.replacing("/a", with: "/b"), on: index)
    table.endTick()
    let waiting = table.queuedBytes(index)
    #expect(waiting > 0 && table.takeSent(index).isEmpty)
    table.wire(index).capacity = .max
    table.parts.queues.flush(index)
    table.endTick()
    let text = table.takeText(index)
    #expect(text.utf8.count == 2 * waiting && text.contains("for /a\n") && text.hasSuffix("for /b\n"))
    #expect(table.dropped.isEmpty)
  }

  @Test("refuses what is no request, and closes when the answer is taken")
  func refusal() {
    let table = MemoryConnections()
    let index = table.open()
    table.receive("no request at all\r\n\r\n", on: index)
    table.endTick()
    #expect(table.takeText(index).hasPrefix("HTTP/1.1 400 "))
    #expect(table.stage(index) == .lingering && table.metrics.requestsRefused == 1)
  }

  @Test("opens a WebSocket, answers its pings and its close")
  func webSocket() {
    let table = MemoryConnections()
    let index = table.open()
    table.receive(
      "GET /ws?user=ada HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", on: index)
    table.endTick()
    let opening = table.takeText(index)
    // The example of RFC 6455 section 1.3.
    #expect(opening.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") && opening.contains(#""type":"welcome""#))
    #expect(table.parts.sessions.count == 1)
    table.receive(.ping, "hello", on: index)
    table.endTick()
    #expect(table.takeSent(index) == [0x8A, 5] + Array("hello".utf8))
    var close: [UInt8] = []
    FrameWriter.appendMaskedFrame(.close, key: MaskingKey(0x1234_5678), payload: [0x03, 0xE8].span, to: &close)
    table.receive(close, on: index)
    table.endTick()
    #expect(table.takeSent(index) == [0x88, 2, 0x03, 0xE8])
    #expect(table.dropped == [index] && table.parts.connections.count == 0 && table.parts.sessions.count == 0)
  }

  @Test("gives a room's messages to its members, the same frame to each, and nothing twice to their sender")
  func room() {
    let table = MemoryConnections()
    let members = (0..<5).map { table.openWebSocket("user\($0)") }
    for member in members { table.receive(.text, #"{"type":"join","room":"r"}"#, on: member) }
    table.endTick()
    for member in members { #expect(table.takeText(member).contains(#""type":"joined""#)) }
    for member in members { _ = table.takeSent(member) }
    table.receive(.text, #"{"type":"message","room":"r","n":1}"#, on: members[0])
    table.endTick()
    let frames = members.map { table.takeSent($0) }
    #expect(frames[1].first == 0x81 && String(decoding: frames[1], as: UTF8.self).contains(#""n":1"#))
    #expect(frames[2...].allSatisfy { $0 == frames[1] } && frames[0] != frames[1])
    #expect(table.metrics.messagesDelivered > 0)
  }

  @Test("keeps what a slow member does not take, in order, and closes it with 4408 past the limit")
  func slowMember() {
    let table = MemoryConnections { $0.queueBytesMax = 4096 }
    let (sender, slow) = (table.openWebSocket("a"), table.openWebSocket("b"))
    for member in [sender, slow] { table.receive(.text, #"{"type":"join","room":"r"}"#, on: member) }
    table.endTick()
    _ = table.takeSent(slow)
    table.wire(slow).capacity = 10
    for n in 1...3 {
      table.receive(
        .text, #"{"type":"message","room":"r","n":\#(n),"t":"\#(String(repeating: "x", count: 500))"}"#, on: sender)
      table.endTick()
    }
    #expect(table.takeSent(slow).count == 10 && table.queuedBytes(slow) > 1500)
    #expect(table.wantsWrite(slow))
    table.wire(slow).capacity = .max
    table.parts.queues.flush(slow)
    let text = table.takeText(slow)
    let places = (1...3).map { text.firstRange(of: "\"n\":\($0)")?.lowerBound }
    #expect(places[1] != nil && places[2] != nil && places[1]! < places[2]!)
    #expect(!table.wantsWrite(slow))
    table.wire(slow).capacity = 0
    for n in 4...12 {
      table.receive(
        .text, #"{"type":"message","room":"r","n":\#(n),"t":"\#(String(repeating: "x", count: 500))"}"#, on: sender)
      table.endTick()
    }
    #expect(table.metrics.slowConsumers == 1 && table.stage(slow) == .closing)
    table.wire(slow).capacity = .max
    table.parts.queues.flush(slow)
    // 4408, big-endian.
    #expect(table.takeSent(slow).dropFirst(2).starts(with: [0x11, 0x38]))
  }

  @Test("drops a request that does not come in time, by the wheel alone")
  func deadline() {
    let table = MemoryConnections()
    let index = table.open()
    table.parts.timers.start()
    table.parts.timers.schedule(index, in: Deadlines.requestHead)
    for _ in 0..<(Deadlines.requestHead / ConnectionTimers.tickInterval) { table.runTimer() }
    #expect(table.dropped.isEmpty)
    for _ in 0..<2 { table.runTimer() }
    #expect(table.dropped == [index])
  }
}
