import Glibc
import TestSupport
import Testing

@testable import LoopCore

/// Runs ticks until something is so, at most 10 s.
private func drive(_ loop: EventLoop, until isSo: () -> Bool) throws {
  let deadline = Deadline(within: 10)
  while !isSo() {
    guard deadline.millisecondsLeft > 0 else { throw TestFailure("the loop did not come that far within 10 s") }
    loop.tick(waitMillisecondsMax: 50)
  }
}

@Suite("Event loop with real descriptors")
struct LoopTests {
  @Test("brings 40,000 messages of four threads to the loop, each once and in each thread's order")
  func mailbox() throws {
    let loop = try EventLoop()
    var received: [[Int]] = Array(repeating: [], count: 4)
    let reader = try MailboxReader<(Int, Int)>(loop) { received[$0.0].append($0.1) }
    let mailbox = reader.mailbox
    for thread in 0..<4 { try startThread { for n in 0..<10_000 { mailbox.post((thread, n)) } } }
    try drive(loop) { received.allSatisfy { $0.count >= 10_000 } }
    for list in received { #expect(list == Array(0..<10_000)) }
  }

  @Test("resolves names off the loop, numbers at once, and answers nil to unknown names (RFC 6761 section 6.4)")
  func resolver() throws {
    let loop = try EventLoop()
    let resolver = try Resolver(loop)
    var numeric: [Address]?
    resolver.resolve("127.0.0.1", port: 80) { numeric = $0 }
    #expect(numeric?.first?.host == "127.0.0.1")
    #expect(numeric?.first?.port == 80)
    var answers: [String: [Address]?] = [:]
    for name in ["localhost", "no-such-name.invalid"] { resolver.resolve(name, port: 81) { answers[name] = .some($0) } }
    #expect(answers.isEmpty)
    try drive(loop) { answers.count == 2 }
    let local = answers["localhost"] ?? nil
    #expect(local?.allSatisfy { $0.port == 81 && ["127.0.0.1", "::1"].contains($0.host) } == true)
    #expect((answers["no-such-name.invalid"] ?? nil) == nil)
  }

  @Test("accepts connections on the port that the system chose, and closes")
  func listener() throws {
    let loop = try EventLoop()
    var accepted: [(socket: Int32, host: String)] = []
    let address = try #require(Address(numericHost: "127.0.0.1", port: 0))
    let listener = try Listener(loop, on: address, reusePort: false, refusal: []) {
      accepted.append(($0, $1.host))
    }
    #expect(listener.port > 0)
    #expect(throws: TestFailure.self) { try TCPConnection(port: listener.port) }
    try listener.listen()
    let clients = try (0..<100).map { _ in try TCPConnection(port: listener.port) }
    try drive(loop) { accepted.count == clients.count }
    #expect(accepted.allSatisfy { $0.host == "127.0.0.1" })
    // Non-blocking: nothing was sent, so reading must return at once.
    var byte: UInt8 = 0
    // Safe because the buffer is the one byte, alive during the call.
    let outcome = withUnsafeMutableBytes(of: &byte) { Socket.receive(accepted[0].socket, into: $0) }
    #expect(outcome == .wouldBlock)
    for connection in accepted { Socket.close(connection.socket) }
    listener.close()
    listener.close()
    #expect(throws: TestFailure.self) { try TCPConnection(port: listener.port) }
  }

  @Test("says which port is taken, and lets several listeners share one when asked")
  func sharedPort() throws {
    let loop = try EventLoop()
    let any = try #require(Address(numericHost: "127.0.0.1", port: 0))
    let first = try Listener(loop, on: any, reusePort: true, refusal: []) { socket, _ in Socket.close(socket) }
    let same = try #require(Address(numericHost: "127.0.0.1", port: first.port))
    let second = try Listener(loop, on: same, reusePort: true, refusal: []) { socket, _ in Socket.close(socket) }
    #expect(second.port == first.port)
    for listener in [first, second] { try listener.listen() }
    let error = #expect(throws: SystemError.self) {
      _ = try Listener(loop, on: same, reusePort: false, refusal: []) { _, _ in }
    }
    #expect(error?.code == EADDRINUSE)
    #expect(error?.description.contains("127.0.0.1:\(first.port)") == true)
  }

  @Test("brings a signal as an event of the loop")
  func signals() throws {
    let loop = try EventLoop()
    var received: [Int32] = []
    let signals = try Signals(loop, [SIGUSR1, SIGUSR2]) { received.append($0) }
    defer {
      // The mask belongs to a thread that other tests use.
      var set = sigset_t()
      sigemptyset(&set)
      for signal in [SIGUSR1, SIGUSR2] { sigaddset(&set, signal) }
      pthread_sigmask(SIG_UNBLOCK, &set, nil)
    }
    raise(SIGUSR2)
    try drive(loop) { !received.isEmpty }
    raise(SIGUSR1)
    try drive(loop) { received.count == 2 }
    withExtendedLifetime(signals) {}
    #expect(received == [SIGUSR2, SIGUSR1])
  }

  @Test("writes to a Unix socket path that fits and refuses one that does not")
  func addresses() {
    #expect(Address(unixPath: "/tmp/x")?.host == "unix")
    #expect(Address(unixPath: String(repeating: "x", count: 108)) == nil)
    #expect(Address(unixPath: "") == nil)
    #expect(Address(numericHost: "::1", port: 9)?.host == "::1")
    #expect(Address(numericHost: "localhost", port: 9) == nil)
  }
}
