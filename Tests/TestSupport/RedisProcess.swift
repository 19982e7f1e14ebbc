import Glibc

/// A real `redis-server` without persistence, on a port of its own.
package final class RedisProcess {
  package let port: UInt16
  package private(set) var process: ChildProcess

  package init() throws {
    // Another test may have taken the port that was free a moment ago.
    var attempts = 5
    while true {
      let free = try FreePort.find()
      do {
        process = try RedisProcess.start(free)
        port = free
        return
      } catch {
        attempts -= 1
        if attempts == 0 { throw error }
      }
    }
  }

  package var url: String { "redis://127.0.0.1:\(port)" }

  private static func start(_ port: UInt16) throws -> ChildProcess {
    let process: ChildProcess
    do {
      process = try ChildProcess([
        "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", "/tmp",
      ])
    } catch { throw TestFailure("redis-server is missing (apt-get install redis-server): \(error)") }
    _ = try process.line(with: "Ready to accept connections")
    return process
  }

  /// Ends it at once; everything in it is lost.
  package func kill() { process.kill() }

  /// Starts it again, empty, on the same port.
  package func restart() throws {
    kill()
    process = try RedisProcess.start(port)
  }

  /// Stops it from answering, with its connections open.
  package func pause() { process.signal(SIGSTOP) }
  package func resume() { process.signal(SIGCONT) }

  /// Sends an inline command and returns the reply as it was sent.
  package func command(_ text: String) throws -> String {
    let connection = try TCPConnection(port: port)
    try connection.send(text + "\r\nQUIT\r\n")
    let deadline = Deadline(within: 5)
    var reply: [UInt8] = []
    while case .bytes(let bytes) = connection.read(until: deadline) { reply += bytes }
    return String(decoding: reply, as: UTF8.self)
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
