import Glibc
import TestSupport
import Testing

@testable import LoopCore

/// Whether this machine's kernel lets the tests use io_uring: containers often do not.
private let isRingAllowed = (try? ReceiveRing()) != nil

/// What a ring told of sockets that were handed over with their numbers as tags, from their far ends.
private final class Heard {
  var bytes: [[UInt8]]
  var ends: [Int] = []
  var failures: [Int: Int32] = [:]
  var pauses: [Int] = []

  init(_ count: Int) { bytes = Array(repeating: [], count: count) }

  func take(_ tag: UInt64, _ event: ReceiveRing.Event) {
    let index = Int(tag)
    switch event {
    case .bytes(let new): bytes[index] += Array(new)
    case .end: ends.append(index)
    case .failed(let code): failures[index] = code
    case .paused: pauses.append(index)
    }
  }
}

extension ReceiveRing {
  /// Receives what there is.
  fileprivate func receiveAll(_ heard: Heard) throws {
    var count = 0
    repeat {
      guard receive() else { throw TestFailure("the ring refuses: errno \(errno)") }
      count = drain { heard.take($0, $1) }
    } while count > 0 && hasMore
  }
}

@Suite("Receiving through io_uring", .enabled(if: isRingAllowed))
struct ReceiveRingTests {
  // More sockets than buffers, and than are handed over at a time.
  @Test("brings every socket's bytes, in order, round after round", arguments: [1, 20, 300])
  func everySocket(count: Int) throws {
    let ring = try ReceiveRing()
    let pairs = try (0..<count).map { _ in try SocketPair() }
    let heard = Heard(count)
    for (i, pair) in pairs.enumerated() { #expect(ring.begin(pair.far, tag: UInt64(i)) == true) }
    var expected = [[UInt8]](repeating: [], count: count)
    for round in 0..<50 {
      // Some say nothing, some twice.
      for (i, pair) in pairs.enumerated() where (i + round) % 3 > 0 {
        for _ in 0..<((i + round) % 3) {
          let bytes = Array("round \(round) of \(i);".utf8)
          expected[i] += bytes
          pair.write(bytes)
        }
      }
      try ring.receiveAll(heard)
      #expect(heard.bytes == expected)
    }
    #expect(heard.ends.isEmpty && heard.failures.isEmpty && heard.pauses.isEmpty)
  }

  @Test("brings more than a buffer holds, and more than all of them do, whole")
  func large() throws {
    let ring = try ReceiveRing()
    let pair = try SocketPair()
    let heard = Heard(1)
    let all = (0..<(3 * ReceiveRing.buffersMax * ReceiveRing.bufferBytes)).map { UInt8(truncatingIfNeeded: $0 / 251) }
    #expect(ring.begin(pair.far, tag: 0) == true)
    var sent = 0
    while sent < all.count {
      sent += pair.write(Array(all[sent..<min(all.count, sent + 100_000)]))
      try ring.receiveAll(heard)
      while heard.pauses.popLast() != nil { #expect(ring.begin(pair.far, tag: 0) == true) }
    }
    try ring.receiveAll(heard)
    #expect(heard.bytes[0].count == all.count)
    #expect(heard.bytes[0] == all)
  }

  @Test("pauses whoever finds no buffer, and loses nothing of theirs")
  func pauses() throws {
    let ring = try ReceiveRing()
    let count = 2 * ReceiveRing.buffersMax
    let pairs = try (0..<count).map { _ in try SocketPair() }
    let heard = Heard(count)
    for (i, pair) in pairs.enumerated() {
      pair.write(Array("\(i)".utf8))
      #expect(ring.begin(pair.far, tag: UInt64(i)) == true)
    }
    // Nothing is drained, so no buffer comes back.
    for _ in 0..<count { #expect(ring.receive() == true) }
    _ = ring.drain { heard.take($0, $1) }
    #expect(heard.pauses.count == ReceiveRing.buffersMax)
    for index in heard.pauses { #expect(ring.begin(pairs[index].far, tag: UInt64(index)) == true) }
    try ring.receiveAll(heard)
    for index in 0..<count { #expect(heard.bytes[index] == Array("\(index)".utf8)) }
  }

  @Test("tells the end behind the last bytes, and what failed")
  func ends() throws {
    let ring = try ReceiveRing()
    let pairs = try (0..<3).map { _ in try SocketPair() }
    let heard = Heard(4)
    for (i, pair) in pairs.enumerated() { #expect(ring.begin(pair.far, tag: UInt64(i)) == true) }
    #expect(ring.begin(Int32.max, tag: 3) == true)
    pairs[0].write(Array("last".utf8))
    shutdown(pairs[0].near, Int32(SHUT_WR))
    // One's own doing ends it, too, however the peer goes on.
    Socket.shutDown(pairs[1].far)
    try ring.receiveAll(heard)
    #expect(heard.bytes[0] == Array("last".utf8))
    #expect(heard.ends.sorted() == [0, 1])
    #expect(heard.failures == [3: EBADF])
    pairs[2].write(Array("still there".utf8))
    try ring.receiveAll(heard)
    #expect(heard.bytes[2] == Array("still there".utf8))
  }

  @Test("wakes an event loop for every byte that comes while it waits")
  func wakes() throws {
    final class Waker: EventHandler {
      var count = 0
      func ready(_ token: UInt64, _ readiness: Readiness) { count += 1 }
    }
    let loop = try EventLoop()
    let waker = Waker()
    let ring = try ReceiveRing()
    let pair = try SocketPair()
    let heard = Heard(1)
    try loop.watch(ring.wakeDescriptor, for: [.read, .edge], handler: loop.attach(waker), token: 0)
    #expect(ring.begin(pair.far, tag: 0) == true)
    try ring.receiveAll(heard)
    for n in 1...50 {
      while !ring.awaitMore() { try ring.receiveAll(heard) }
      // What was signalled before is over.
      loop.tick(waitMillisecondsMax: 0)
      waker.count = 0
      pair.write([UInt8(n)])
      let deadline = Deadline(within: 10)
      while waker.count == 0, deadline.millisecondsLeft > 0 { loop.tick(waitMillisecondsMax: 100) }
      #expect(waker.count > 0)
      try ring.receiveAll(heard)
      #expect(heard.bytes[0].count == n)
    }
  }

  @Test("says so when the kernel refuses to go on")
  func refused() throws {
    // The kernel takes submissions of the ring's own thread only.
    let ring = try onThreadOfItsOwn { try ReceiveRing() }
    let pair = try SocketPair()
    _ = ring.begin(pair.far, tag: 0)
    #expect(ring.receive() == false)
    #expect(ring.begin(pair.far, tag: 0) == false)
  }
}
