import Bridges
import Glibc
import Server

/// The program that runs the bridges of a host; `roost serve` starts it with its own arguments.
@main
struct RoostBridges {
  static func main() {
    CrashReport.replaceRuntimeReport()
    signal(SIGPIPE, SIG_IGN)
    var variables: [String: String] = [:]
    var next = environ
    while let entry = next.pointee {
      let text = String(cString: entry)  // Safe because the environment is NUL-terminated strings behind one another.
      if let equals = text.firstIndex(of: "=") {
        variables[String(text[..<equals])] = String(text[text.index(after: equals)...])
      }
      next += 1
    }
    exit(BridgeProcess.run(arguments: Array(CommandLine.arguments.dropFirst()), environment: variables))
  }
}
