import Testing

@testable import Commands

@Suite struct InvocationTests {
  @Test("runs a node when flags and no command are given, and prints the help when there is nothing")
  func serve() {
    #expect(Invocation([]) == .help)
    #expect(Invocation(["--port", "1"]) == .serve(["--port", "1"]))
    #expect(Invocation(["serve", "--echo"]) == .serve(["--echo"]))
  }

  @Test("finds every command by its name", arguments: ClientCommand.allCases)
  func named(_ command: ClientCommand) {
    #expect(Invocation([command.rawValue, "a", "b"]) == .client(command, ["a", "b"]))
    #expect(Invocation(["help", command.rawValue]) == .client(command, ["--help"]))
    #expect(Invocation.helpText.contains("  \(command.rawValue) "))
  }

  @Test("leaves the arguments of bench alone")
  func bench() { #expect(Invocation(["bench", "echo", "--json"]) == .bench(["echo", "--json"])) }

  @Test("prints help and version before anything else")
  func help() {
    #expect(Invocation(["help"]) == .help)
    #expect(Invocation(["-h"]) == .help)
    #expect(Invocation(["--help"]) == .help)
    #expect(Invocation(["--version"]) == .version)
  }

  @Test("names the command that was probably meant")
  func nearMiss() {
    #expect(Invocation(["presense", "x"]) == .unknown("unknown command \"presense\"; did you mean roost presence?"))
    #expect(Invocation(["frobnicate"]) == .unknown("unknown command \"frobnicate\"; roost help lists all commands"))
  }
}
