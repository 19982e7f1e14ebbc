import Glibc
import JSONCore

/// The built `roost`, run as a process of its own.
enum Program {
  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  struct Result {
    let status: Int32
    let output: String
    let errors: String
  }

  /// Beside the test bundle, wherever that was built.
  static let path: String = {
    var buffer = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/exe", &buffer, buffer.count)
    let own = String(decoding: buffer.prefix(max(0, count)).map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return own.split(separator: "/").dropLast().reduce("") { $0 + "/" + $1 } + "/roost"
  }()

  /// Runs a command to its end, at most 30 seconds.
  static func run(_ arguments: [String], environment: [String: String] = [:]) throws -> Result {
    let process = try RunningProgram(arguments, environment: environment)
    return try process.waitForEnd()
  }
}

/// A `roost` process whose output goes to files; killed when nobody holds it any more.
final class RunningProgram {
  private var pid: pid_t = 0
  private let directory: String
  private var status: Int32?

  init(_ arguments: [String], environment: [String: String] = [:]) throws {
    var template = Array("/tmp/roost-commands-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw Program.Failure(description: "mkdtemp failed") }
    directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    for (descriptor, name) in [(Int32(1), "out"), (2, "err")] {
      posix_spawn_file_actions_addopen(
        &actions, descriptor, "\(directory)/\(name)", O_WRONLY | O_CREAT | O_APPEND, 0o600)
    }
    var argv: [UnsafeMutablePointer<CChar>?] = ([Program.path] + arguments).map { strdup($0) } + [nil]
    var environment = environment
    // A program that a sanitizer instruments has the same options as the tests.
    if let options = getenv("ASAN_OPTIONS") { environment["ASAN_OPTIONS"] = String(cString: options) }
    var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0.key)=\($0.value)") } + [nil]
    defer { for pointer in argv + variables { free(pointer) } }
    let code = posix_spawn(&pid, Program.path, &actions, nil, &argv, &variables)
    guard code == 0 else { throw Program.Failure(description: "cannot start \(Program.path): \(code)") }
  }

  deinit {
    if status == nil {
      kill(pid, SIGKILL)
      var ignored: Int32 = 0
      waitpid(pid, &ignored, 0)
    }
    for name in ["out", "err"] { unlink("\(directory)/\(name)") }
    rmdir(directory)
  }

  var output: String { read("out") }
  var errors: String { read("err") }

  func signal(_ number: Int32) { kill(pid, number) }

  /// Waits until the process has ended by itself.
  func waitForEnd() throws -> Program.Result {
    try poll("the end of the process") {
      var raw: Int32 = 0
      guard waitpid(pid, &raw, WNOHANG) == pid else { return false }
      // The low seven bits are the signal that ended it, the next byte its status.
      status = raw & 0x7F == 0 ? raw >> 8 & 0xFF : -(raw & 0x7F)
      return true
    }
    return Program.Result(status: status ?? -1, output: output, errors: errors)
  }

  /// Looks again and again until `condition` holds, at most 30 seconds; then tells what the process has written.
  func poll(_ what: String, _ condition: () throws -> Bool) throws {
    for _ in 0..<3000 {
      if try condition() { return }
      usleep(10_000)
    }
    throw Program.Failure(description: "waited for \(what) in vain; output: \(output); errors: \(errors)")
  }

  private func read(_ name: String) -> String {
    let file = open("\(directory)/\(name)", O_RDONLY)
    guard file >= 0 else { return "" }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = Glibc.read(file, &chunk, chunk.count)
      guard count > 0 else { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<count]
    }
  }
}

/// A node on a free port with the admin token `secret`.
final class TestNode {
  let process: RunningProgram
  let port: Int

  init(port: Int = 0, _ flags: [String] = []) throws {
    let started = try RunningProgram(
      ["serve", "--host", "127.0.0.1", "--port", "\(port)", "--log-format", "json", "--drain", "0"] + flags,
      environment: ["ROOST_ADMIN_TOKEN": "secret"])
    var found: Int?
    try started.poll("the line that names the port") {
      for line in started.errors.split(separator: "\n") where line.contains("\"listening\"") {
        found = (try? JSONValue.parse(Array(line.utf8).span))?["port"]?.asInt
      }
      return found != nil
    }
    process = started
    self.port = found ?? 0
  }

  var url: String { "http://127.0.0.1:\(port)" }

  /// Runs a command against this node.
  func roost(_ arguments: String...) throws -> Program.Result {
    try Program.run(arguments, environment: environment)
  }

  var environment: [String: String] { ["ROOST_URL": url, "ROOST_ADMIN_TOKEN": "secret"] }
}
