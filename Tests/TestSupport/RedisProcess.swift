import Glibc

/// A real `redis-server` on a port of its own.
package final class RedisProcess {
  package let port: UInt16
  package private(set) var process: ChildProcess
  /// Where it keeps an append-only file, or nil.
  private let folder: String?

  /// - Parameter isDurable: whether a kill loses nothing: every reply waits until the append-only file was written,
  ///   which the kernel keeps. Otherwise it comes back empty.
  package init(isDurable: Bool = false) throws {
    port = try FreePort.find()
    var template = Array("/tmp/roost-redis-XXXXXX".utf8CString)
    folder = isDurable ? mkdtemp(&template).map { String(cString: $0) } : nil
    process = try RedisProcess.start(port, folder)
  }

  deinit {
    process.kill()
    if let folder, let remover = try? ChildProcess(["rm", "-rf", folder]) { _ = try? remover.waitForEnd() }
  }

  package var url: String { "redis://127.0.0.1:\(port)" }

  private static func start(_ port: UInt16, _ folder: String?) throws -> ChildProcess {
    let process: ChildProcess
    do {
      process = try ChildProcess(
        [
          "redis-server", "--port", "\(port)", "--bind", "127.0.0.1", "--save", "", "--dir", folder ?? "/tmp",
          // Without fsync nothing delays the write, and what the kernel has outlives a killed process.
          "--appendonly", folder == nil ? "no" : "yes", "--appendfsync", "no",
        ])
    } catch { throw TestFailure("redis-server is missing (apt-get install redis-server): \(error)") }
    _ = try process.line(with: "Ready to accept connections")
    return process
  }

  /// Ends it at once; everything in it is lost, unless it is durable.
  package func kill() { process.kill() }

  /// Starts it again on the same port, empty, unless it is durable.
  package func restart() throws {
    kill()
    process = try RedisProcess.start(port, folder)
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
