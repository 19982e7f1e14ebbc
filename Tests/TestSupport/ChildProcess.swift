import Glibc
import Synchronization

/// A real process that a test has started: its output, its end, its signals. Killed with its children at the latest
/// when the object goes.
package final class ChildProcess {
  /// How a process ended.
  package enum End: Equatable {
    case exited(Int32)
    case signaled(Int32)
  }

  package let id: pid_t
  private let log: Int32
  private var ended: End?

  /// Starts a program. Its standard output and error are kept together.
  package init(_ command: [String], environment: [String: String] = [:]) throws {
    var path = Array("/tmp/roost-test-XXXXXX".utf8CString)
    log = Spawn.lock.withLock { _ in
      let file = mkstemp(&path)
      return fcntl(file, F_SETFD, FD_CLOEXEC) == 0 && fcntl(file, F_SETFL, O_APPEND) == 0 ? file : -1
    }
    guard log >= 0 else { throw TestFailure("cannot make a file for output in /tmp") }
    unlink(path)
    var variables = ["PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    // A shared standard library is found by the same path as the test's own, and a sanitizer has the same options.
    for name in ["LD_LIBRARY_PATH", "HOME", "ASAN_OPTIONS", "TSAN_OPTIONS"] {
      if let value = getenv(name) { variables[name] = String(cString: value) }
    }
    variables.merge(environment) { $1 }
    do {
      id = try Spawn.start(command, environment: variables, input: nil, output: log)
    } catch {
      close(log)
      throw error
    }
    ProcessReaper.watch(id)
  }

  deinit {
    kill()
    close(log)
  }

  /// All that it has written so far.
  package var output: String {
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = pread(log, &chunk, chunk.count, off_t(bytes.count))
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }

  /// Waits for a line that holds `text` and returns it.
  package func line(with text: String, within seconds: Double = 10) throws -> String {
    var found: String?
    do {
      try eventually("output with “\(text)”", within: seconds) {
        let lines = output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        found = lines.first { $0.contains(text) }.map(String.init)
        return found != nil || (end() != nil && !output.contains(text))
      }
    } catch { throw TestFailure("\(error)\n--- output:\n\(output)") }
    guard let found else { throw TestFailure("ended as \(ended!) without “\(text)”\n--- output:\n\(output)") }
    return found
  }

  /// Sends a signal to the process alone, not to its children.
  package func signal(_ number: Int32) { if end() == nil { Glibc.kill(id, number) } }

  /// Kills the process and its children, and waits for its end. Idempotent.
  package func kill() {
    guard end() == nil else { return }
    Glibc.kill(-id, SIGKILL)
    var status: Int32 = 0
    waitpid(id, &status, 0)
    finish(status)
  }

  /// How it ended, or nil while it runs.
  package func end() -> End? {
    if let ended { return ended }
    var status: Int32 = 0
    if waitpid(id, &status, WNOHANG) == id { finish(status) }
    return ended
  }

  /// Waits for its end.
  package func waitForEnd(within seconds: Double = 15) throws -> End {
    do {
      try eventually("process \(id) ends", within: seconds) { end() != nil }
    } catch { throw TestFailure("\(error)\n--- output:\n\(output)") }
    return ended!  // Safe because the condition above has just seen it.
  }

  private func finish(_ status: Int32) {
    ended = status & 0x7F == 0 ? .exited((status >> 8) & 0xFF) : .signaled(status & 0x7F)
    // Children that outlived their parent go with it.
    Glibc.kill(-id, SIGKILL)
    ProcessReaper.forget(id)
  }
}

/// Ports for programs that cannot choose one themselves.
package enum FreePort {
  private static let given = Mutex<Set<UInt16>>([])

  /// Returns a port that nobody listens on, below the range from which the kernel takes ports for itself. No two calls of a
  /// test run return the same one: some time passes until a server listens on it.
  package static func find() throws -> UInt16 {
    for _ in 0..<200 {
      let port = UInt16.random(in: 20_000..<32_000)
      guard given.withLock({ $0.insert(port).inserted }) else { continue }
      let descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
      defer { close(descriptor) }
      if SocketAddress.loopback(port, { bind(descriptor, $0, $1) }) == 0 { return port }
    }
    throw TestFailure("no free port between 20000 and 32000")
  }
}

/// Socket addresses of this machine.
enum SocketAddress {
  /// Lends 127.0.0.1 with a port.
  static func loopback<R>(_ port: UInt16, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R) -> R {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    // Safe because sockaddr_in begins with the fields of sockaddr, and the pointer does not outlive the call.
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, socklen_t(MemoryLayout<sockaddr_in>.size)) }
    }
  }
}
