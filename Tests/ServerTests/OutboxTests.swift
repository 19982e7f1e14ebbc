import LoopCore
import Testing

@testable import Server

@Suite("The outbox of a connection, in memory")
struct OutboxTests {
  /// Takes bytes as a socket does: at most so many at a time, and none past its capacity.
  private final class Sink {
    var bytes: [UInt8] = []
    var sends = 0
    var capacity: Int
    let perSend: Int

    init(capacity: Int = .max, perSend: Int = .max) {
      self.capacity = capacity
      self.perSend = perSend
    }

    func send(_ more: UnsafeRawBufferPointer) -> Transfer {
      sends += 1
      let count = min(more.count, perSend, capacity)
      guard count > 0 else { return .wouldBlock }
      capacity -= count
      bytes += more[..<count]
      return .bytes(count)
    }
  }

  private static func block(_ count: Int, from first: Int) -> [UInt8] { (0..<count).map { UInt8((first + $0) % 251) } }

  /// Flushes into a sink by way of a scratch buffer of so many bytes. Returns the bytes sent, and whether all were.
  private static func flush(_ outbox: inout Outbox, _ sink: Sink, scratchBytes: Int = 64) -> (sent: Int, isDone: Bool)?
  {
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: scratchBytes, alignment: 16)
    defer { scratch.deallocate() }
    switch outbox.flush(scratch: scratch, send: sink.send) {
    case .done(let sent): return (sent, true)
    case .unwritable(let sent): return (sent, false)
    case .failed: return nil
    }
  }

  @Test("sends blocks and own frames in the order in which they were added")
  func order() {
    var outbox = Outbox()
    outbox.append { $0 += [1, 2] }
    outbox.push([3, 4, 5])
    outbox.append { $0.append(6) }
    outbox.append { $0.append(7) }
    outbox.push([8])
    outbox.push([9, 10], sent: 0)
    #expect(outbox.byteCount == 10)
    var copy = [UInt8](repeating: 0, count: 10)
    copy.withUnsafeMutableBytes { outbox.copy(into: $0) }
    #expect(copy == Array(1...10))
    let sink = Sink()
    let result = OutboxTests.flush(&outbox, sink)
    #expect(result?.sent == 10 && result?.isDone == true && outbox.isEmpty)
    #expect(sink.bytes == Array(1...10) && sink.sends == 1, "small blocks leave in one send")
  }

  @Test("goes on exactly where a send stopped, whatever the socket takes", arguments: [1, 2, 3, 7, 63, 64, 65, 1000])
  func parts(perSend: Int) {
    var generator = SystemRandomNumberGenerator()
    for scratchBytes in [1, 16, 64, 4096] {
      var outbox = Outbox()
      var expected: [UInt8] = []
      let sink = Sink(capacity: 0, perSend: perSend)
      for round in 0..<40 {
        let block = OutboxTests.block(Int.random(in: 1...90, using: &generator), from: round)
        expected += block
        if Bool.random(using: &generator) { outbox.push(block) } else { outbox.append { $0 += block } }
        sink.capacity = Int.random(in: 0...100, using: &generator)
        _ = OutboxTests.flush(&outbox, sink, scratchBytes: scratchBytes)
        #expect(outbox.byteCount == expected.count - sink.bytes.count)
      }
      sink.capacity = .max
      let isDone = OutboxTests.flush(&outbox, sink, scratchBytes: scratchBytes)?.isDone
      #expect(isDone == true && sink.bytes == expected)
    }
  }

  @Test("takes away what was sent by another way, over the ends of blocks")
  func removal() {
    var outbox = Outbox()
    outbox.push([1, 2, 3])
    outbox.push([4, 5])
    outbox.append { $0 += [6, 7] }
    outbox.remove(4)
    #expect(outbox.byteCount == 3)
    let sink = Sink()
    _ = OutboxTests.flush(&outbox, sink)
    #expect(sink.bytes == [5, 6, 7])
    outbox.push([1, 2, 3, 4], sent: 3)
    #expect(outbox.byteCount == 1)
    _ = OutboxTests.flush(&outbox, sink)
    #expect(sink.bytes == [5, 6, 7, 4])
  }

  @Test("shares a block: no queue copies it")
  func shared() {
    let block = OutboxTests.block(100_000, from: 0)
    let address = block.withUnsafeBytes { $0.baseAddress }
    for _ in 0..<3 {
      var outbox = Outbox()
      outbox.push(block)
      var seen: UnsafeRawPointer?
      let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
      defer { scratch.deallocate() }
      _ = outbox.flush(scratch: scratch) { bytes in
        seen = bytes.baseAddress
        return .bytes(bytes.count)
      }
      #expect(seen == address && outbox.isEmpty)
    }
  }

  @Test("drops all that is unsent but the rest of a block that the peer has seen a part of")
  func dropping() {
    var outbox = Outbox()
    outbox.push([1, 2, 3, 4])
    outbox.push([5, 6])
    outbox.append { $0.append(7) }
    let sink = Sink(capacity: 1)
    _ = OutboxTests.flush(&outbox, sink)
    outbox.dropUnsent()
    #expect(outbox.byteCount == 3)
    outbox.append { $0.append(9) }
    sink.capacity = .max
    _ = OutboxTests.flush(&outbox, sink)
    #expect(sink.bytes == [1, 2, 3, 4, 9])
    outbox.push([1, 2])
    outbox.dropUnsent()
    #expect(outbox.byteCount == 0)
  }

  @Test("counts what its client asked for apart from what others cause, which leaves first")
  func solicited() {
    var outbox = Outbox()
    outbox.push(OutboxTests.block(100, from: 0))
    outbox.push(OutboxTests.block(50, from: 0))
    outbox.noteSolicited(50)
    #expect(outbox.solicitedBytes == 50 && outbox.unsolicitedBytes == 100)
    let sink = Sink(capacity: 120)
    _ = OutboxTests.flush(&outbox, sink, scratchBytes: 1000)
    #expect(outbox.solicitedBytes == 30 && outbox.unsolicitedBytes == 0)
    outbox.noteSolicited(1000)
    #expect(outbox.solicitedBytes == 30)
    outbox.dropUnsent()
    #expect(outbox.solicitedBytes <= outbox.byteCount)
  }

  @Test("reports a socket that is broken, and one that takes nothing")
  func failure() {
    var outbox = Outbox()
    outbox.push([1])
    let blocked = OutboxTests.flush(&outbox, Sink(capacity: 0))
    #expect(blocked?.sent == 0 && blocked?.isDone == false && outbox.byteCount == 1)
    let scratch = UnsafeMutableRawBufferPointer.allocate(byteCount: 64, alignment: 16)
    defer { scratch.deallocate() }
    guard case .failed = outbox.flush(scratch: scratch, send: { _ in .failed(32) }) else {
      Issue.record("a broken socket is not reported")
      return
    }
  }
}
