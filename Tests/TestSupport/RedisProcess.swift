import Glibc

/// A real `redis-server` without persistence, on a port of its own.
package final class RedisProcess {
  package let port: UInt16
  package private(set) var process: ChildProcess

  /// What PORT2 and PORT3 stood for.
  package let secondPort: UInt16
  package let thirdPort: UInt16
  private let arguments: [String]
  private let environment: [String: String]

  /// - Parameter arguments: more of what `redis-server` understands; PORT stands for its port, PORT2 and PORT3 for other
  ///   free ones.
  package init(_ arguments: [String] = [], environment: [String: String] = [:]) throws {
    self.environment = environment
    // Another test may have taken the port that was free a moment ago.
    var attempts = 5
    while true {
      let (free, second, third) = (try FreePort.find(), try FreePort.find(), try FreePort.find())
      let given = arguments.map {
        $0.replacing("PORT2", with: "\(second)").replacing("PORT3", with: "\(third)").replacing("PORT", with: "\(free)")
      }
      do {
        process = try RedisProcess.start(free, given, environment)
        (port, secondPort, thirdPort, self.arguments) = (free, second, third, given)
        return
      } catch {
        attempts -= 1
        if attempts == 0 { throw error }
      }
    }
  }

  package var url: String { "redis://127.0.0.1:\(port)" }

  /// What a replica writes when it begins to follow its master. Another server must not take it for its own.
  private static func file(_ port: UInt16) -> String { "roost-test-\(port).rdb" }

  private static func start(
    _ port: UInt16, _ arguments: [String], _ environment: [String: String]
  ) throws -> ChildProcess {
    let process: ChildProcess
    do {
      process = try ChildProcess(
        [
          "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
          "/tmp", "--dbfilename", file(port), "--rdb-del-sync-files", "yes", "--repl-diskless-load", "swapdb",
        ] + arguments, environment: environment)
    } catch { throw TestFailure("redis-server is missing (apt-get install redis-server): \(error)") }
    _ = try process.line(with: "Ready to accept connections")
    return process
  }

  /// Ends it at once; everything in it is lost.
  package func kill() { process.kill() }

  /// Starts it again, empty, on the same port.
  package func restart() throws {
    kill()
    unlink("/tmp/" + RedisProcess.file(port))
    process = try RedisProcess.start(port, arguments, environment)
  }

  /// Stops it from answering, with its connections open.
  package func pause() { process.signal(SIGSTOP) }
  package func resume() { process.signal(SIGCONT) }

  /// Sends an inline command and returns the reply as it was sent.
  package func command(_ text: String) throws -> String { try RedisProcess.command(text, port: port) }

  /// Sends an inline command to whatever speaks the protocol of Redis on a port.
  package static func command(_ text: String, port: UInt16) throws -> String {
    let connection = try TCPConnection(port: port)
    try connection.send(text + "\r\n")
    let deadline = Deadline(within: 5)
    var reply: [UInt8] = []
    while case .bytes(let bytes) = connection.read(until: deadline) {
      reply += bytes
      if RedisProcess.end(ofReplyIn: reply, from: 0) != nil { break }
    }
    return String(decoding: reply, as: UTF8.self)
  }

  /// Where a reply that begins at `start` ends, or nil when it is not whole yet.
  private static func end(ofReplyIn bytes: [UInt8], from start: Int) -> Int? {
    guard start < bytes.count, let lineEnd = bytes[start...].firstIndex(of: 0x0A) else { return nil }
    let number = Int(String(decoding: bytes[(start + 1)..<(lineEnd - 1)], as: UTF8.self)) ?? 0
    switch bytes[start] {
    case 0x24:
      let end = number < 0 ? lineEnd + 1 : lineEnd + 1 + number + 2
      return end <= bytes.count ? end : nil
    case 0x2A:
      var end: Int? = lineEnd + 1
      for _ in 0..<max(0, number) { end = end.flatMap { RedisProcess.end(ofReplyIn: bytes, from: $0) } }
      return end
    default: return lineEnd + 1
    }
  }

  /// Reads a number of INFO.
  package func info(_ name: String) throws -> Int {
    let text = try command("INFO")
    guard let line = text.split(whereSeparator: \.isNewline).first(where: { $0.hasPrefix(name + ":") }),
      let value = Int(line.dropFirst(name.count + 1))
    else { throw TestFailure("no \(name) in INFO: \(text)") }
    return value
  }
}
