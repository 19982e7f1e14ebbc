import ClientCore
import Glibc
import JSONCore
import Testing

@testable import Commands

/// What is made from the tables of options: completion, the manual, the list of settings.
@Suite struct ShellTests {
  @Test("completes commands, options, kinds and words in bash")
  func bash() throws {
    let script = try Program.run(["completion", "bash"]).output
    func complete(_ words: String...) throws -> [String] {
      let line = words.map { "'\($0)'" }.joined(separator: " ")
      let program =
        script
        + "\nCOMP_WORDS=(\(line))\nCOMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n_roost\nprintf '%s\\n' \"${COMPREPLY[@]}\"\n"
      return try shell("bash", program).split(separator: "\n").map(String.init)
    }
    #expect(try complete("roost", "pre") == ["presence"])
    #expect(try complete("roost", "serve", "--ping-i") == ["--ping-interval"])
    #expect(try complete("roost", "serve", "--no-comp") == ["--no-compression"])
    #expect(try complete("roost", "serve", "--auth", "j") == ["jwt"])
    #expect(try complete("roost", "bench", "fan") == ["fanout"])
    #expect(try complete("roost", "rooms", "--l") == ["--limit"])
    #expect(try complete("roost", "completion", "--h") == ["--help"])
  }

  @Test("writes scripts for other shells that name every command, and refuses shells that it does not know")
  func otherShells() throws {
    for name in ["zsh", "fish"] {
      let script = try Program.run(["completion", name]).output
      for command in ClientCommand.allCases { #expect(script.contains(command.rawValue), "\(name): \(command)") }
      #expect(script.contains("ping-interval"))
      // Where the shell is installed, it reads the script.
      if access("/usr/bin/\(name)", X_OK) == 0 { _ = try shell("/usr/bin/\(name)", "", options: "-n", script: script) }
    }
    let unknown = try Program.run(["completion", "tcsh"])
    #expect(unknown.status == ExitStatus.usage)
    #expect(unknown.errors.contains("expected one of bash, zsh, fish"))
  }

  @Test(
    "writes a manual page with every command, option and exit status, and no line that man would take for a request")
  func manual() throws {
    let page = try Program.run(["man"]).output
    #expect(page.hasPrefix(".TH ROOST 1"))
    for command in ClientCommand.allCases { #expect(page.contains(".SS roost \(command.rawValue)")) }
    for text in ["\\-\\-ping\\-interval", ".SS roost bench fanout", ".SH EXIT STATUS", "\\fB77\\fR"] {
      #expect(page.contains(text), "\(text)")
    }
    let requests: Set<Substring> = [".TH", ".SH", ".SS", ".TP", ".PP", ".B", ".I"]
    for line in page.split(separator: "\n") where line.hasPrefix(".") || line.hasPrefix("'") {
      #expect(requests.contains(line.prefix { $0 != " " }), "\(line)")
    }
  }

  @Test("prints every setting with its value and where it came from, and never a secret")
  func config() throws {
    let file = "/tmp/roost-config-\(getpid()).json"
    let handle = try #require(fopen(file, "w"))
    fputs(#"{"rate":50,"apiKey":"hunter2","rooms":[{"match":"a*"},{"match":"b"}]}"#, handle)
    fclose(handle)
    defer { unlink(file) }
    let environment = ["ROOST_CONFIG": file, "ROOST_RATE": "60", "ROOST_JWT_SECRET": "hunter2"]
    let arguments =
      ["config", "--ping-interval", "30s", "--redis", "redis://u:hunter2@127.0.0.1"]
      + [
        "--webhook-url", "https://u:hunter2@h/x?key=hunter2&hunter2", "--webhook-secret", "hunter2", "--jwks",
        "keys.json",
      ]
    let json = try Program.run(arguments + ["--json"], environment: environment)
    let settings = try JSONValue.parse(Array(json.output.utf8).span)
    func setting(_ key: StaticString) -> [String?] {
      [settings[key]?["value"]?.asString, settings[key]?["from"]?.asString]
    }
    #expect(setting("pingInterval") == ["30s", "--ping-interval"])
    #expect(setting("rate") == ["60", "ROOST_RATE"])
    #expect(setting("apiKey") == ["***", file])
    #expect(setting("jwtSecret") == ["***", "ROOST_JWT_SECRET"])
    #expect(setting("redis") == ["redis://u:***@127.0.0.1:6379", "--redis"])
    #expect(setting("webhookUrl") == ["https://u:***@h/x?key=***&***", "--webhook-url"])
    #expect(setting("jwks") == ["keys.json", "--jwks"])
    #expect(setting("rooms") == ["2 entries", file])
    #expect(setting("port") == ["8080", "default"])
    let table = try Program.run(arguments, environment: environment)
    #expect(table.output.contains("pingInterval"))
    for result in [json, table] { #expect(!result.output.contains("hunter2")) }
    let wrong = try Program.run(["config", "--ping-intervall", "1s"])
    #expect(wrong.status == ExitStatus.usage)
    #expect(wrong.errors.contains("did you mean --ping-interval?"))
    for (argument, said) in [("x", "expected: roost config [--json]"), ("--zzzzzz", "roost config --help")] {
      let refused = try Program.run(["config", argument])
      #expect(refused.status == ExitStatus.usage && refused.errors.contains(said), "\(refused)")
    }
    #expect(try Program.run(["config", "--help"]).output.hasPrefix("Usage: roost config [--json]"))
  }

  @Test("serve --check tells whether a node would start with its settings, and starts none")
  func check() throws {
    let valid = try Program.run(["serve", "--check", "--port", "1"])
    #expect(valid.status == 0)
    #expect(valid.output == "the settings are valid\n")
    let certificate = try Program.run(["serve", "--check", "--tls-cert", "/nowhere", "--tls-key", "/nowhere"])
    #expect(certificate.status == ExitStatus.usage)
    #expect(certificate.errors.contains("/nowhere"))
    let key = try Program.run(["serve", "--check", "--auth", "jwt", "--jwt-public-key", "/nowhere"])
    #expect(key.status == ExitStatus.usage)
  }

  @Test("serve --check ends as a start does, and warns of what a start warns of")
  func checkAsStart() throws {
    // Neither needs a name server to be refused.
    let wrong = [["--socketio-client", "/nowhere/client.js"], ["--host", "[::1"], ["--host", "http://localhost"]]
    for flags in wrong {
      for command in [["serve", "--check"], ["serve", "--port", "0"]] {
        let run = try Program.run(command + flags)
        #expect(run.status == ExitStatus.usage, "\(command) \(flags): \(run)")
        #expect(run.output.isEmpty && run.errors.contains(flags[1]), "\(run)")
      }
    }
    let unknown = try Program.run(["serve", "--check", "--host", "nosuch.invalid"])
    #expect(unknown.status != 0 && unknown.errors.contains("cannot be resolved"), "\(unknown)")
    let slip = try Program.run(["serve", "--check"], environment: ["ROOST_PROT": "the-value", "ROOST_URL": "x"])
    #expect(slip.status == 0 && slip.output == "the settings are valid\n")
    #expect(slip.errors.contains("ROOST_PROT is ignored; did you mean ROOST_PORT?"), "\(slip.errors)")
    #expect(!slip.errors.contains("the-value") && !slip.errors.contains("ROOST_URL"))
    #expect(slip.errors.contains("auth=none: anyone may connect"))
    let weak = try Program.run(["serve", "--check", "--host", "127.0.0.1", "--admin-token", "hunter2"])
    #expect(weak.status == 0 && weak.errors.contains("admin-token has fewer than 16 bytes"), "\(weak)")
    #expect(!weak.errors.contains("hunter2"))
  }

  /// Runs a program in a shell and returns what it prints.
  private func shell(_ name: String, _ program: String, options: String = "", script: String? = nil) throws -> String {
    let path = "/tmp/roost-shell-\(getpid())-\(UInt64.random(in: 0 ... .max))"
    let handle = try #require(fopen(path, "w"))
    fputs(script ?? program, handle)
    fclose(handle)
    defer { unlink(path) }
    let pipe = try #require(popen("\(name) \(options) \(path) 2>&1", "r"))
    var output: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while case let count = fread(&chunk, 1, chunk.count, pipe), count > 0 { output += chunk[..<count] }
    let status = pclose(pipe)
    #expect(status == 0, "\(String(decoding: output, as: UTF8.self))")
    return String(decoding: output, as: UTF8.self)
  }
}
