import Glibc
import JSONCore
import LoopCore
import TestSupport
import Testing

/// Whether this machine's kernel lets nodes use io_uring: containers often do not.
private let isRingAllowed = (try? SendRing()) != nil

@Suite("Server, sends through io_uring and without")
struct SendPathTests {
  /// By which call the log says that clients are sent to, and whether the process has a ring.
  private static func path(of server: RoostProcess) throws -> (said: String?, hasRing: Bool) {
    let line = try Received(try server.process.line(with: #""message":"listening""#))
    let folder = "/proc/\(server.process.id)/fd"
    let hasRing = (0..<64).contains { number in
      var target = [CChar](repeating: 0, count: 64)
      return readlink("\(folder)/\(number)", &target, target.count - 1) > 0
        && String(decoding: target.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
          == "anon_inode:[io_uring]"
    }
    return (line.string("sends"), hasRing)
  }

  /// Has one of 30 members publish in bursts: every other gets everything in order, the publisher its acks.
  private static func exchange(_ server: RoostProcess) throws {
    let clients = try (0..<30).map { try server.connect("user\($0)") }
    for client in clients { try client.join("r") }
    for n in 1...200 { try clients[n % 3].send(#"{"type":"message","room":"r","id":"\#(n)","echo":true,"n":\#(n)}"#) }
    for (i, client) in clients.enumerated() {
      for offset in 1...200 { #expect(try client.expect("message", within: 30).int("offset") == offset) }
      let acks = try client.settle().filter { $0.type == "ack" }.count
      #expect(acks == (i < 3 ? (1...200).filter { $0 % 3 == i }.count : 0))
    }
  }

  @Test("uses io_uring where it may, makes no ring with --io-uring off, and says which", arguments: ["on", "off"])
  func setting(ring: String) throws {
    let server = try RoostProcess(["--io-uring", ring])
    let path = try SendPathTests.path(of: server)
    let isExpected = ring == "on" && isRingAllowed
    #expect(path.hasRing == isExpected)
    #expect(path.said?.hasPrefix(isExpected ? "io_uring" : "send") == true)
    try SendPathTests.exchange(server)
  }

  @Test("serves all the same where the kernel refuses io_uring, and says so")
  func refused() throws {
    // A process inherits the filter of the thread that starts it.
    let server = try onThreadOfItsOwn {
      try SystemCallFilter.refuseIOUring()
      return try RoostProcess()
    }
    let path = try SendPathTests.path(of: server)
    #expect(!path.hasRing)
    #expect(path.said == "send (io_uring_setup: Operation not permitted)")
    try SendPathTests.exchange(server)
  }

  @Test(
    "goes on with a frame that a socket took a part of exactly where it stopped, among members who took all",
    arguments: ["on", "off"])
  func parts(ring: String) throws {
    let server = try RoostProcess(["--io-uring", ring, "--ping-interval", "10m", "--max-queue", "16m"])
    let members = try (0..<12).map { try server.connect("user\($0)") }
    let slow = try server.connect("slow", receiveBytes: 4096)
    for client in members + [slow] { try client.join("r") }
    let text = String(repeating: "x", count: 9000)
    var offset = 0
    var left = 20
    while left > 0, offset < 5000 {
      offset = try members[0].publish("r", "\"n\":\(offset + 1),\"text\":\"\(text)\"")
      for client in members[1...] { #expect(try client.expect("message").int("offset") == offset) }
      if try server.metric("roost_queue_bytes") > 0 { left -= 1 }
    }
    try #require(left == 0, "the reader was never slow")
    for n in 1...offset {
      let message = try slow.expect("message", within: 30)
      #expect(message.int("offset") == n && message.int("n") == n && message.string("text") == text)
    }
    #expect(try server.metric("roost_queue_bytes") == 0)
    #expect(try server.metric("roost_slow_consumers_total") == 0)
    // Nothing stands between it and what is said now.
    offset = try members[0].publish("r", #""last":true"#)
    #expect(try slow.expect("message").int("offset") == offset)
  }
}

/// Filters of system calls for the calling thread and what it starts (seccomp(2)).
private enum SystemCallFilter {
  private struct Instruction {
    let code: UInt16
    let jumpTrue: UInt8
    let jumpFalse: UInt8
    let value: UInt32
  }

  private struct Program {
    let count: UInt16
    let instructions: UnsafePointer<Instruction>?
  }

  private typealias ProcessControl = @convention(c) (Int32, UInt, UInt, UInt, UInt) -> Int32

  /// Has io_uring_setup fail with EPERM, as the default filter of Docker does.
  static func refuseIOUring() throws {
    let instructions = [
      Instruction(code: 0x20, jumpTrue: 0, jumpFalse: 0, value: 0),  // loads the number of the call
      Instruction(code: 0x15, jumpTrue: 0, jumpFalse: 1, value: 425),  // is it io_uring_setup? The same everywhere.
      Instruction(code: 0x06, jumpTrue: 0, jumpFalse: 0, value: 0x0005_0000 | UInt32(EPERM)),  // SECCOMP_RET_ERRNO
      Instruction(code: 0x06, jumpTrue: 0, jumpFalse: 0, value: 0x7FFF_0000),  // SECCOMP_RET_ALLOW
    ]
    guard let symbol = dlsym(nil, "prctl") else { throw TestFailure("no prctl") }
    // Safe because prctl takes a number and four words, and Swift cannot call functions with variable arguments.
    let control = unsafeBitCast(symbol, to: ProcessControl.self)
    let code = instructions.withUnsafeBufferPointer { list in
      withUnsafePointer(to: Program(count: UInt16(list.count), instructions: list.baseAddress)) { program in
        // PR_SET_NO_NEW_PRIVS, without which only root may filter; then PR_SET_SECCOMP with SECCOMP_MODE_FILTER.
        control(38, 1, 0, 0, 0) == 0 ? control(22, 2, UInt(bitPattern: program), 0, 0) : -1
      }
    }
    guard code == 0 else { throw TestFailure("the thread's system calls cannot be filtered: errno \(errno)") }
  }
}
