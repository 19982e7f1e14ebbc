import Glibc
import JSONCore

/// A `roost` process of the build under test, on ports of its own.
package final class RoostProcess {
  /// The admin token that every process gets.
  package static let adminToken = "test-admin-token"

  package let process: ChildProcess
  package let port: UInt16

  /// The built program, which lies beside the test program.
  package static func binary() throws -> String {
    if let path = getenv("ROOST_BINARY") { return String(cString: path) }
    return try builtProgram()
  }

  static func builtProgram() throws -> String {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    guard count > 0 else { throw TestFailure("cannot read /proc/self/exe") }
    let path = String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let binary = path[..<(path.lastIndex(of: "/") ?? path.startIndex)] + "/roost"
    guard access(String(binary), X_OK) == 0 else {
      throw TestFailure("no \(binary): build it first with swift build, or name one in ROOST_BINARY")
    }
    return String(binary)
  }

  /// Starts a node and waits until it listens.
  ///
  /// - Parameters:
  ///   - flags: behind `serve --port … --admin-token …`.
  ///   - port: 0 takes any free one.
  ///   - descriptorsMax: the hard limit of open files; nil: as the test has it.
  package init(
    _ flags: [String] = [], port: UInt16 = 0, environment: [String: String] = [:], descriptorsMax: Int? = nil
  ) throws {
    let limit = descriptorsMax.map { ["/bin/bash", "-c", "ulimit -Hn \($0) -Sn \($0); exec \"$0\" \"$@\""] } ?? []
    let command =
      limit + [try RoostProcess.binary(), "serve", "--port", "\(port)", "--admin-token", RoostProcess.adminToken]
    process = try ChildProcess(command + flags, environment: environment)
    let line = try Received(try process.line(with: #""message":"listening""#))
    guard let number = line.int("port").flatMap({ UInt16(exactly: $0) }) else { throw TestFailure("no port: \(line)") }
    self.port = number
  }

  /// Runs a command to its end.
  package static func run(
    _ arguments: [String], environment: [String: String] = [:]
  ) throws -> (end: ChildProcess.End, output: String) {
    let process = try ChildProcess([try binary()] + arguments, environment: environment)
    return (try process.waitForEnd(), process.output)
  }

  package var http: HTTPClient { HTTPClient(port: port, server: self) }

  /// Opens a WebSocket and takes its `welcome`.
  ///
  /// - Parameter user: the name it asks for, percent-encoded by the caller where needed.
  package func connect(
    _ user: String, headers: [String] = [], receiveBytes: Int32? = nil, deflate: Bool = false
  ) throws -> WebSocketClient {
    let client = try WebSocketClient(
      port: port, target: "/ws?user=\(user)", headers: headers, receiveBytes: receiveBytes, deflate: deflate)
    try client.expect("welcome")
    return client
  }

  /// Asks the admin endpoint.
  package func admin(
    _ method: String, _ path: String, body: String? = nil, token: String = RoostProcess.adminToken,
    headers: [String] = []
  ) throws -> HTTPAnswer {
    try http.ask(method, "/admin/\(path)", headers: ["Authorization: Bearer \(token)"] + headers, body: body)
  }

  /// Asks the admin endpoint for JSON.
  package func inspect(_ path: String) throws -> JSONValue {
    let answer = try admin("GET", path)
    guard answer.status == 200 else { throw TestFailure("GET /admin/\(path): \(answer)") }
    return try answer.json()
  }

  /// Reads one sample of `/metrics`, its labels included in the name.
  package func metric(_ name: String) throws -> Double {
    let text = try http.get("/metrics").text
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name + " ") }),
      let value = Double(line.dropFirst(name.count + 1))
    else { throw TestFailure("no \(name) in:\n\(text)") }
    return value
  }

  /// Waits until `/readyz` answers 200.
  package func awaitReady(within seconds: Double = 10) throws {
    try eventually("node on port \(port) is ready", within: seconds) { try http.get("/readyz").status == 200 }
  }
}
