import Randomness
import Testing

@testable import Settings

@Suite("Redis URLs, quantities and tables of other commands")
struct RedisURLTests {
  @Test(
    "reads every form and describes it without the password",
    arguments: [
      ("redis://h", "redis://h:6379"), ("redis://h:1/2", "redis://h:1/2"), ("redis://h/", "redis://h:6379"),
      ("rediss://u:p%40%2F@h:1", "rediss://u:***@h:1"), ("redis://:p@h", "redis://:***@h:6379"),
      ("redis://[::1]", "redis://[::1]:6379"), ("redis://[::1]:7/3", "redis://[::1]:7/3"),
      ("unix:///run/r.sock", "unix:///run/r.sock"), ("unix://:p@/run/r", "unix://:***@/run/r"),
      ("unix:///tmp/a@b:c", "unix:///tmp/a@b:c"),
      ("redis+sentinel://a,b:2/main/4", "redis+sentinel://a:26379,b:2/main/4"),
      ("rediss+sentinel://:p@a/m", "rediss+sentinel://:***@a:26379/m"),
      ("redis+cluster://a:1,b", "redis+cluster://a:1,b:6379"), ("redis+cluster://a/0", "redis+cluster://a:6379"),
    ])
  func reads(_ text: String, _ description: String) throws {
    #expect(try RedisURL(parsing: text).description == description)
  }

  @Test("decodes user and password (RFC 3986 section 2.1)")
  func decodes() throws {
    let url = try RedisURL(parsing: "rediss://us%65r:p%40s%3As@h:1/5")
    #expect(url.user == "user")
    #expect(url.password == "p@s:s")
    #expect(url.usesTLS)
    #expect(url.database == 5)
    #expect(url.topology == .single(RedisURL.Endpoint(host: "h", port: 1)))
    #expect(try RedisURL(parsing: "redis://:a@b@h").password == "a@b")
    #expect(try RedisURL(parsing: "redis://:p@h").user == nil)
  }

  @Test(
    "refuses what it cannot use, without repeating the password",
    arguments: [
      "", "h:6379", "http://h", "redis://", "redis://:hunter2@", "redis://h:0", "redis://h:65536", "redis://h:x",
      "redis://h/x", "redis://h/-1", "redis://a,b", "redis://user@h", "redis://u:@h", "redis://:hunter2%@h",
      "redis://:hunter2%zz@h", "redis://:%FF@h", "redis://[::1", "redis://[::1]x", "redis://h?db=1", "redis://h#x",
      "unix://", "unix:///", "unix://x", "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel:///m",
      "redis+sentinel://a/m/x", "redis+cluster://a/1", "redis+cluster://a,", "redis:// ",
    ])
  func refuses(_ text: String) {
    let error = #expect(throws: SettingsError.self) { try RedisURL(parsing: text) }
    #expect(error?.message.isEmpty == false)
    #expect(error?.message.contains("hunter2") == false)
  }

  @Test("durations and sizes read back as they are written", arguments: [91] as [UInt64])
  func quantitiesRoundTrip(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    for _ in 0..<2000 {
      let value = Int.random(in: 0...(1 << 40), using: &random)
      #expect(Quantity.milliseconds(Quantity.text(milliseconds: value)) == value)
      #expect(Quantity.bytes(Quantity.text(bytes: value)) == value)
    }
    #expect(Quantity.milliseconds("1h") == 3_600_000)
    #expect(Quantity.milliseconds("7d") == 604_800_000 && Quantity.text(milliseconds: 604_800_000) == "7d")
    #expect(Quantity.text(milliseconds: 86_400_000) == "24h" && Quantity.text(milliseconds: 90_000_000) == "25h")
    #expect(Quantity.bytes("64K") == 65_536)
    for text in ["", "s", "1.5s", "-1s", "1 s", "1S", "9223372036854775807h"] {
      #expect(Quantity.milliseconds(text) == nil)
    }
    for text in ["", "k", "1kb", "-1", "1.5k", "9223372036854775807g"] { #expect(Quantity.bytes(text) == nil) }
  }

  private struct PresenceOptions: Sendable, Equatable {
    var json = false
    var url = "http://127.0.0.1:8080"
    var adminToken: String?

    static let table = OptionTable<PresenceOptions>(
      command: "roost presence", usage: "ROOM [OPTIONS]", summary: "Shows who is in a room.", positionals: 1...1,
      options: [
        .flag("json", \.json, "print JSON for programs").from(.argumentsOnly),
        .text("url", \.url, "URL", "any node").from(.argumentsAndEnvironment),
        .text("adminToken", \.adminToken, "TEXT", "bearer token").secret().from(.argumentsAndEnvironment),
      ])
  }

  @Test("other commands share the machinery: positionals, flags that take no word, environment")
  func otherCommands() throws {
    let environment = ["ROOST_ADMIN_TOKEN": "t", "ROOST_JSON": "nonsense"]
    func run(_ arguments: [String]) throws -> (PresenceOptions, [String]) {
      let parsed = try PresenceOptions.table.parse(
        arguments: arguments, environment: environment, defaults: PresenceOptions())
      guard case .run(let options, let positionals) = parsed else { throw SettingsError(message: "not run") }
      return (options, positionals)
    }
    let (options, rooms) = try run(["--json", "on", "--url=http://h"])
    #expect(rooms == ["on"])
    #expect(options == PresenceOptions(json: true, url: "http://h", adminToken: "t"))
    #expect(try run(["--", "--json"]).1 == ["--json"])
    #expect(try run(["-"]).1 == ["-"])
    #expect(throws: SettingsError(message: "an argument is missing; expected: roost presence ROOM [OPTIONS]")) {
      _ = try run([])
    }
    #expect(throws: SettingsError(message: "unexpected argument \"b\"; expected: roost presence ROOM [OPTIONS]")) {
      _ = try run(["a", "b"])
    }
    #expect(throws: SettingsError(message: "unknown flag --jsn; did you mean --json?")) { _ = try run(["a", "--jsn"]) }
  }

  @Test("a settings file is read whole, and a missing one is named with the system's reason")
  func readsFiles() throws {
    #expect(try SettingsFile.read("/proc/self/comm").get().isEmpty == false)
    #expect(
      SettingsFile.read("/nonexistent/x.json")
        == .failure(SettingsError(message: "/nonexistent/x.json: No such file or directory")))
    #expect(throws: SettingsError.self) { try SettingsFile.read("/proc").get() }
    #expect(throws: SettingsError(message: "/dev/zero: longer than 1 MiB; expected a small JSON object")) {
      try SettingsFile.read("/dev/zero").get()
    }
  }
}
