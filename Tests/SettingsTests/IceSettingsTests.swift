import Settings
import Testing

@Suite("Servers for calls")
struct IceSettingsTests {
  private func parse(_ arguments: String...) throws -> ServerSettings {
    guard case .serve(let settings) = try ServerSettings.parse(arguments: arguments, environment: [:], coreCount: 1)
    else { throw SettingsError(message: "nothing to serve") }
    return settings
  }

  private func problem(_ arguments: String...) -> String? {
    do throws(SettingsError) {
      _ = try ServerSettings.parse(arguments: arguments, environment: [:], coreCount: 1)
      return nil
    } catch {
      return error.message
    }
  }

  @Test(
    "takes STUN and TURN URLs (RFC 7064, RFC 7065)",
    arguments: [
      "stun:stun.example.com", "stuns:stun.example.com:5349", "stun:192.0.2.1:3478", "stun:[2001:db8::1]:3478",
      "stun:[2001:db8::1]",
    ])
  func good(url: String) throws {
    #expect(try parse("--ice-servers", url).iceServers == [url])
  }

  @Test(
    "refuses what is no such URL",
    arguments: [
      "stun.example.com", "http://stun.example.com", "stun:", "stun::3478", "stun:host:", "stun:host:0",
      "stun:host:65536", "stun:host:x", "stun:host?transport=udp", "turn:host?transport=sctp", "turn:host?",
      "stun:[::1", "stun:[]:1", "stun:[::1]x", "stun:a b", "stun://host", "stun:user@host",
    ])
  func bad(url: String) throws {
    let text = try #require(problem("--ice-servers", url, "--ice-secret", "s"))
    #expect(text.contains("--ice-servers"))
  }

  @Test("a TURN server needs one way to have a password, and a password needs a TURN server")
  func passwords() throws {
    let turn = ["--ice-servers", "stun:a,turn:b:3478?transport=udp,turns:b"]
    #expect(problem(turn[0], turn[1])?.contains("needs --ice-secret") == true)
    #expect(problem(turn[0], turn[1], "--ice-user", "u")?.contains("--ice-credential is missing") == true)
    #expect(problem(turn[0], turn[1], "--ice-credential", "c")?.contains("--ice-user is missing") == true)
    #expect(
      problem(turn[0], turn[1], "--ice-user", "u", "--ice-credential", "c", "--ice-secret", "s")?
        .contains("two ways") == true)
    #expect(problem("--ice-servers", "stun:a", "--ice-secret", "s")?.contains("is for TURN") == true)
    #expect(problem("--ice-secret", "s")?.contains("is for TURN") == true)
    #expect(try parse(turn[0], turn[1], "--ice-user", "u", "--ice-credential", "c").iceUser == "u")
    #expect(try parse(turn[0], turn[1], "--ice-secret", "s", "--ice-ttl", "1h").iceTTLMilliseconds == 3_600_000)
  }

  @Test("a user and its credential come from the environment and from a file too")
  func places() throws {
    let environment = ["ROOST_ICE_SERVERS": "turn:a", "ROOST_ICE_USER": "u", "ROOST_ICE_CREDENTIAL": "c"]
    let file = Array(#"{"iceServers":["turn:a"],"iceUser":"u","iceCredential":"c"}"#.utf8)
    for parsed in [
      try ServerSettings.parse(arguments: [], environment: environment, coreCount: 1),
      try ServerSettings.parse(arguments: ["--config", "f"], environment: [:], coreCount: 1) { _ in .success(file) },
    ] {
      guard case .serve(let settings) = parsed else { throw SettingsError(message: "nothing to serve") }
      #expect(settings.iceServers == ["turn:a"] && settings.iceUser == "u" && settings.iceCredential == "c")
    }
  }

  @Test("has at most eight servers")
  func count() {
    let servers = (1...9).map { "stun:s\($0)" }
    #expect(problem("--ice-servers", servers.joined(separator: ","))?.contains("at most 8") == true)
    #expect(problem("--ice-servers", servers.dropLast().joined(separator: ",")) == nil)
  }

  @Test("secrets are never shown")
  func secrets() {
    let text = problem("--ice-servers", "stun:a", "--ice-secret", "hidden-one") ?? ""
    #expect(!text.isEmpty && !text.contains("hidden-one"))
    let secret = ServerSettings.table.options.filter(\.isSecret).map(\.key)
    #expect(secret.contains("iceSecret") && secret.contains("iceCredential"))
  }
}
