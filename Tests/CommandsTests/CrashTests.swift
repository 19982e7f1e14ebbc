import Glibc
import Testing

/// What a crash leaves behind.
@Suite("Crashes")
struct CrashTests {
  @Test(
    "a crash says where, and writes no memory, even when the runtime's backtracer is asked for",
    arguments: [SIGILL, SIGSEGV])
  func report(signal: Int32) throws {
    let node = try RunningProgram(
      ["serve", "--host", "127.0.0.1", "--port", "0", "--log-format", "json"],
      environment: ["ROOST_ADMIN_TOKEN": "secret-in-memory", "SWIFT_BACKTRACE": "enable=yes,preset=full,color=no"])
    try node.poll("the node to listen") { node.errors.contains("\"listening\"") }
    node.signal(signal)
    let end = try node.waitForEnd()
    #expect(end.status == -signal, "the status tells the signal")
    #expect(end.errors.contains("roost: crashed by \(signal == SIGILL ? "SIGILL" : "SIGSEGV")"))
    #expect(end.errors.contains("roost("), "the report names places in the program")
    for word in ["secret-in-memory", "Backtracing", "Registers", "rax", "rsp"] {
      #expect(!(end.errors + end.output).contains(word), "\(word) in \(end.errors)")
    }
  }
}
