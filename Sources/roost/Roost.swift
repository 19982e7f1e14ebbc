import Bench
import ClientCore
import Commands
import Diagnosis
import Glibc
import Server

/// The `roost` command: everything it can do lives in the modules that it starts.
@main
struct RoostCommand {
  static func main() {
    CrashReport.replaceRuntimeReport()
    // A peer that closes while we write must not end the process.
    signal(SIGPIPE, SIG_IGN)
    switch Invocation(Array(CommandLine.arguments.dropFirst())) {
    case .serve(let arguments):
      ServeCommand.run(
        arguments: arguments, environment: environment(), otherVariables: ClientCommand.environmentVariables)
    case .client(let command, let arguments):
      exit(
        command.run(
          arguments: arguments, environment: environment(), version: ServeCommand.version,
          synopses: [ServeCommand.synopsis, Doctor.synopsis] + Bench.synopses))
    case .bench(let arguments): exit(Bench.run(arguments: arguments, environment: environment()))
    case .doctor(let arguments): exit(Doctor.run(arguments: arguments, environment: environment()))
    case .help: print(Invocation.helpText, terminator: "")
    case .version: print("roost \(ServeCommand.version)")
    case .unknown(let message): end(ExitStatus.usage, message)
    }
  }

  private static func environment() -> [String: String] {
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)  // Safe because the environment is NUL-terminated strings behind one another.
      if let equals = text.firstIndex(of: "=") {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      next += 1
    }
    return variables
  }

  private static func end(_ status: Int32, _ message: String) -> Never {
    let line = Array("roost: \(message)\n".utf8)
    _ = line.withUnsafeBytes { write(2, $0.baseAddress, $0.count) }  // Safe because the bytes are only read.
    exit(status)
  }
}
