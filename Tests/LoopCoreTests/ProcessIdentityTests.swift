import Glibc
import TestSupport
import Testing

@testable import LoopCore

@Suite("Which process it is, and whether it has ended")
struct ProcessIdentityTests {
  @Test("never names two processes alike, and knows of itself that it runs")
  func own() {
    let (one, other) = (ProcessIdentity.make(), ProcessIdentity.make())
    #expect(one != other)
    #expect(!ProcessIdentity.hasEnded(one))
  }

  @Test("knows that a process has ended whose number is free, was given away again, or belongs to a zombie")
  func ended() throws {
    var parts = ProcessIdentity.make().split(separator: ";").map(String.init)
    #expect(parts.count == 4)
    parts[3] = "1"
    #expect(ProcessIdentity.hasEnded(parts.joined(separator: ";")))
    var child: pid_t = 0
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("true"), nil]
    defer { free(arguments[0]) }
    #expect(posix_spawnp(&child, "true", nil, nil, &arguments, environ) == 0)
    // It has ended at the latest when it can be waited for, and stays a zombie until it is.
    var facts = siginfo_t()
    #expect(waitid(P_PID, id_t(child), &facts, WEXITED | WNOWAIT) == 0)
    parts[2] = "\(child)"
    #expect(ProcessIdentity.hasEnded(parts.joined(separator: ";")))
    var status: Int32 = 0
    waitpid(child, &status, 0)
    #expect(ProcessIdentity.hasEnded(parts.joined(separator: ";")))
  }

  @Test("claims nothing about processes of other machines and containers, and about what is no process")
  func unknown() {
    let parts = ProcessIdentity.make().split(separator: ";").map(String.init)
    let texts = [
      "", ";", ";;;", "a;b;c;d", "a;\(parts[1])x;999999;1", "a;;999999;1", "a;\(parts[1]);999999;",
      "a;\(parts[1]);-1;1",
    ]
    for text in texts { #expect(!ProcessIdentity.hasEnded(text), "\(text)") }
  }
}
