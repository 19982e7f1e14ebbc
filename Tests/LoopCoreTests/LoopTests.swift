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
    let listener = Listener(loop, on: try BoundSocket.open(address, isShared: false), refusal: []) {
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

  @Test("says which port is taken, and lets several sockets share one when asked")
  func sharedPort() throws {
    let any = try #require(Address(numericHost: "127.0.0.1", port: 0))
    let first = try BoundSocket.open(any, isShared: true)
    let second = try first.twin()
    defer { for socket in [first, second] { socket.close() } }
    #expect(second.port == first.port)
    #expect(!first.isListening)
    for socket in [first, second] { try socket.listen() }
    #expect(first.isListening)
    let same = try #require(Address(numericHost: "127.0.0.1", port: first.port))
    let error = #expect(throws: SystemError.self) { _ = try BoundSocket.open(same, isShared: false) }
    #expect(error?.code == EADDRINUSE)
    #expect(error?.description.contains("127.0.0.1:\(first.port)") == true)
  }

  @Test("gives a port to one of two sockets that are bound unshared, and shares it with nobody before that")
  func claimedPort() throws {
    let any = try #require(Address(numericHost: "127.0.0.1", port: 0))
    let first = try BoundSocket.open(any, isShared: false)
    let same = try #require(Address(numericHost: "127.0.0.1", port: first.port))
    let second = try BoundSocket.open(same, isShared: false)
    defer { first.close() }
    try first.listen()
    #expect(throws: SystemError.self) { try second.listen() }
    #expect(throws: SystemError.self) { try first.twin() }
    second.close()
    first.share()
    let twin = try first.twin()
    twin.close()
  }

  @Test("ends a socket for every process that holds it")
  func endedSocket() throws {
    let any = try #require(Address(numericHost: "127.0.0.1", port: 0))
    let socket = try BoundSocket.open(any, isShared: false)
    let copy = BoundSocket(adopting: dup(socket.descriptor))
    defer { copy.close() }
    try socket.listen()
    socket.end()
    #expect(!copy.isListening)
    #expect(throws: TestFailure.self) { try TCPConnection(port: copy.port) }
  }

  @Test("tells a child that its parent has ended, also when it ended before")
  func parentWatch() throws {
    let loop = try EventLoop()
    let ends = try ParentWatch.makePipe()
    var endings = 0
    let watch = try ParentWatch(loop, descriptor: ends.child) { endings += 1 }
    close(ends.parent)
    try drive(loop) { endings == 1 }
    withExtendedLifetime(watch) {}
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
