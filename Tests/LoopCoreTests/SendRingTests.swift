import Glibc
import TestSupport
import Testing

@testable import LoopCore

/// Whether this machine's kernel lets the tests use io_uring: containers often do not.
private let isRingAllowed = (try? SendRing()) != nil

extension SendRing {
  fileprivate func stage(_ bytes: [UInt8]) -> Staged? {
    stage(byteCount: bytes.count) { room in bytes.withUnsafeBytes { room.copyMemory(from: $0) } }
  }

  /// Submits and returns what each tag came to.
  fileprivate func results() -> [UInt64: Transfer] {
    var results: [UInt64: Transfer] = [:]
    submit { results[$0] = $1 }
    return results
  }
}

/// What a send can meet.
enum SocketState: CaseIterable, Sendable {
  case open
  case full
  /// There is room, but for less than is sent.
  case small
  case peerGone
  case noSocket
}

@Suite("Sends through io_uring", .enabled(if: isRingAllowed))
struct SendRingTests {
  // Both sides of the number from which the kernel is asked to make them together.
  @Test(
    "sends every socket its own bytes, in order, round after round",
    arguments: [1, SendRing.sendsMin - 1, SendRing.sendsMin, 300])
  func everySocket(count: Int) throws {
    let ring = try SendRing()
    let pairs = try (0..<count).map { _ in try SocketPair() }
    var expected = [[UInt8]](repeating: [], count: count)
    // Enough rounds for the places of both queues to be used again.
    for round in 0..<20 {
      for (i, pair) in pairs.enumerated() {
        let bytes = Array("round \(round) of \(i);".utf8)
        expected[i] += bytes
        let staged = try #require(ring.stage(bytes))
        let isNoted = ring.append(pair.near, staged, tag: UInt64(i))
        #expect(isNoted)
      }
      let results = ring.results()
      #expect(results.count == count)
      for i in 0..<count { #expect(results[UInt64(i)] == .bytes("round \(round) of \(i);".utf8.count)) }
    }
    for (i, pair) in pairs.enumerated() { #expect(pair.read() == expected[i]) }
  }

  @Test("shares staged bytes between sends, is full at its number of sends, and is empty again after them")
  func full() throws {
    let ring = try SendRing()
    let pairs = try (0..<64).map { _ in try SocketPair() }
    for _ in 0..<5 {
      let staged = try #require(ring.stage(Array("x".utf8)))
      for i in 0..<SendRing.sendsMax {
        let isNoted = ring.append(pairs[i % 64].near, staged, tag: UInt64(i))
        #expect(isNoted)
      }
      #expect(ring.isFull)
      let isNoted = ring.append(pairs[0].near, staged, tag: 0)
      #expect(!isNoted, "there is no place left")
      let results = ring.results()
      #expect(results.count == SendRing.sendsMax)
      #expect(results.values.allSatisfy { $0 == .bytes(1) })
      #expect(ring.count == 0)
    }
    for pair in pairs { #expect(pair.read().count == 5 * SendRing.sendsMax / 64) }
  }

  @Test("takes no more bytes than its memory holds, and none that were staged before the last submission")
  func memory() throws {
    let ring = try SendRing()
    let pair = try SocketPair()
    #expect(ring.stage([UInt8](repeating: 0, count: SendRing.stagedBytesMax + 1)) == nil)
    let staged = try #require(ring.stage([UInt8](repeating: 1, count: SendRing.stagedBytesMax)))
    #expect(ring.stage([2]) == nil)
    let isNoted = ring.append(pair.near, staged, tag: 7)
    #expect(isNoted)
    #expect(ring.results().keys.first == 7)
    let isStaleNoted = ring.append(pair.near, staged, tag: 7)
    #expect(!isStaleNoted)
    #expect(ring.stage([2]) != nil)
  }

  @Test(
    "tells what send() tells of the same socket, whichever of the two makes it",
    arguments: SocketState.allCases, [1, SendRing.sendsMin])
  func sameAsSend(state: SocketState, count: Int) throws {
    let ring = try SendRing()
    let bytes = [UInt8](repeating: 3, count: 40_000)
    let (first, second) = (try SocketPair(), try SocketPair())
    let others = try (1..<max(2, count)).map { _ in try SocketPair() }
    for pair in [first, second] {
      switch state {
      case .open, .noSocket: break
      case .full: pair.fill()
      case .small:
        var size: Int32 = 8192
        setsockopt(pair.near, SOL_SOCKET, SO_SNDBUF, &size, socklen_t(MemoryLayout<Int32>.size))
      case .peerGone: shutdown(pair.far, Int32(SHUT_RDWR))
      }
    }
    let noSocket = Int32.max
    let expected = bytes.withUnsafeBytes { Socket.send(state == .noSocket ? noSocket : first.near, $0) }
    let staged = try #require(ring.stage(bytes))
    var isNoted = ring.append(state == .noSocket ? noSocket : second.near, staged, tag: 0)
    #expect(isNoted)
    let small = try #require(ring.stage([9]))
    for i in 1..<count {
      isNoted = ring.append(others[i - 1].near, small, tag: UInt64(i))
      #expect(isNoted)
    }
    let results = ring.results()
    #expect(results[0] == expected)
    switch state {
    case .open: #expect(expected == .bytes(bytes.count))
    case .full: #expect(expected == .wouldBlock)
    case .small:
      guard case .bytes(let sent) = expected, sent > 0, sent < bytes.count else {
        Issue.record("not a part of it was sent: \(expected)")
        return
      }
    case .peerGone: #expect(expected == .failed(EPIPE))
    case .noSocket: #expect(expected == .failed(EBADF))
    }
    // Whatever became of the first, the others got theirs.
    for i in 1..<count {
      #expect(results[UInt64(i)] == .bytes(1))
      #expect(others[i - 1].read() == [9])
    }
  }

  @Test("sends by itself, once, what the kernel does not take")
  func refusedSubmission() throws {
    // The kernel takes submissions of the ring's own thread only.
    let ring = try onThreadOfItsOwn { try SendRing() }
    let pairs = try (0..<100).map { _ in try SocketPair() }
    for round in 1...3 {
      let staged = try #require(ring.stage(Array("\(round)".utf8)))
      for (i, pair) in pairs.enumerated() {
        let isNoted = ring.append(pair.near, staged, tag: UInt64(i))
        #expect(isNoted)
      }
      #expect(ring.results().count == pairs.count)
    }
    for pair in pairs { #expect(pair.read() == Array("123".utf8)) }
  }
}
