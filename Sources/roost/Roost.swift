import Server

/// The `roost` command: everything it can do lives in the modules that it starts.
@main
struct Roost {
  static func main() { Command.run() }
}
