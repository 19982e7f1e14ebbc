import Bench
import Glibc
import Server

/// The `roost` command: everything it can do lives in the modules that it starts.
@main
struct Roost {
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.first == "bench" { exit(Bench.run(arguments: Array(arguments.dropFirst()), environment: [:])) }
    Command.run()
  }
}
