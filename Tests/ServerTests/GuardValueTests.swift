import AddressCore
import Realtime
import Settings
import TestSupport
import Testing
import TimeCore

@testable import Server

@Suite("Guards of a node, pure")
struct GuardValueTests {
  private static func moment(_ milliseconds: Int) -> Instant { .zero + .milliseconds(milliseconds) }

  private func address(_ text: String) throws -> IPAddress { try #require(IPAddress(text)) }

  @Test("counts connections for each IPv4 address and each IPv6 /64, and forgets who has gone")
  func tally() throws {
    var tally = ConnectionLimiter(max: 2)
    let (a, b) = (try address("203.0.113.1"), try address("203.0.113.2"))
    let four = [tally.admit(a), tally.admit(a), tally.admit(a), tally.admit(b)]
    #expect(four == [true, true, false, true])
    let six = try ["2001:db8::1", "2001:db8::2", "2001:db8::3", "2001:db8:0:1::3"].map { tally.admit(try address($0)) }
    #expect(six == [true, true, false, true])
    tally.release(a)
    let again = [tally.admit(a), tally.admit(a)]
    #expect(again == [true, false])
    for _ in 0..<2 { tally.release(a) }
    for _ in 0..<2 { tally.release(b) }
    #expect(tally.subscriberCount == 2)
    let crowd = (0..<10_000).count { tally.admit(IPAddress(v4: $0)) }
    #expect(crowd == 10_000)
    for last: UInt32 in 0..<10_000 { tally.release(IPAddress(v4: last)) }
    tally.shrink()
    #expect(tally.subscriberCount == 2)
  }

  @Test("gives back the guesses of the admin token one by one, and shares one count among those beyond its memory")
  func guesses() throws {
    var guesses = AuthFailureLimiter(perMinute: 3, now: .zero)
    let (a, b) = (try address("203.0.113.1"), try address("203.0.113.2"))
    for _ in 0..<3 {
      #expect(guesses.wait(a, at: .zero) == .zero)
      guesses.note(a, at: .zero)
    }
    #expect((19_000...20_001).contains(guesses.wait(a, at: .zero).milliseconds))
    #expect(guesses.wait(b, at: .zero) == .zero)
    #expect(guesses.wait(a, at: Self.moment(20_001)) == .zero)
    guesses.note(a, at: Self.moment(20_001))
    #expect(guesses.wait(a, at: Self.moment(20_001)) > .zero)
    #expect(guesses.wait(a, at: Self.moment(10_000_000)) == .zero)
    // A guesser with a network full of addresses.
    for n: UInt32 in 0..<10_000 { guesses.note(IPAddress(v4: n), at: Self.moment(20_002)) }
    #expect(guesses.wait(IPAddress(v4: 20_000), at: Self.moment(20_002)) > .zero)
    #expect(guesses.wait(a, at: Self.moment(20_002)) > .zero)
    // An hour later everybody has his guesses again.
    #expect(guesses.wait(IPAddress(v4: 20_000), at: Self.moment(3_600_000)) == .zero)
    guesses.note(IPAddress(v4: 20_000), at: Self.moment(3_600_000))
    #expect(guesses.wait(IPAddress(v4: 20_001), at: Self.moment(3_600_000)) == .zero)
    var unlimited = AuthFailureLimiter(perMinute: 0, now: .zero)
    for _ in 0..<1000 { unlimited.note(a, at: .zero) }
    #expect(unlimited.wait(a, at: .zero) == .zero)
  }

  @Test("lets a burst of one second's worth of handshakes through, then as many as time brings")
  func gate() {
    var gate = HandshakeRateLimiter(PeerLimit(10, sparesLocal: true), now: .zero)
    let atOnce = (0..<20).count { _ in gate.admit(isLocal: false, at: .zero) }
    let later = (0..<20).count { _ in gate.admit(isLocal: false, at: Self.moment(500)) }
    let local = (0..<20).count { _ in gate.admit(isLocal: true, at: Self.moment(500)) }
    #expect([atOnce, later, local] == [10, 5, 20])
  }

  @Test("reports refusals at once, and then once a minute with what has come together")
  func report() {
    var report = RefusalReport()
    var totals: [LimitName: UInt64] = [:]
    func take(_ milliseconds: Int) -> [String] {
      report.take(at: Self.moment(milliseconds)) { totals[$0, default: 0] }.map { "\($0.limit.label) \($0.count)" }
    }
    #expect(take(0) == [])
    totals[.operations] = 3
    #expect(take(1000) == ["rate 3"])
    totals[.operations] = 7
    totals[.handshakes] = 1
    #expect(take(60_999) == [])
    #expect(take(61_000) == ["handshake-rate 1", "rate 4"])
    #expect(take(500_000) == [])
  }

  @Test("says what about the settings is not fit for the internet, and nothing about those that are")
  func exposure() {
    var settings = ServerSettings()
    #expect(SecurityWarnings.warnings(settings).contains { $0.contains("auth=none") })
    #expect(SecurityWarnings.warnings(settings).contains { $0.contains("no TLS") })
    settings.host = "127.0.0.1"
    #expect(SecurityWarnings.warnings(settings).count == 1)
    settings.host = "0.0.0.0"
    settings.authentication = .jwt
    settings.adminToken = "short"
    settings.apiKey = "0123456789abcdef0123456789abcdef"
    settings.trustedProxies = ["10.0.0.0/8"]
    settings.echo = true
    let warnings = SecurityWarnings.warnings(settings)
    #expect(warnings.count == 2 && warnings.contains { $0.contains("admin-token") }, "\(warnings)")
    #expect(!warnings.contains { $0.contains("short") })
    settings.adminToken = nil
    settings.echo = false
    #expect(SecurityWarnings.warnings(settings).isEmpty)
    settings.webhooks.url = "http://backend.example/"
    settings.webhooks.secrets = ["0123456789abcdef0123456789abcdef", "brief"]
    let webhooks = SecurityWarnings.warnings(settings)
    #expect(webhooks.count == 2 && webhooks.contains { $0.contains("webhook-url") }, "\(webhooks)")
    #expect(webhooks.contains { $0.contains("webhook-secret") && !$0.contains("brief") })
    settings.webhooks.url = "http://127.0.0.1:9/"
    settings.webhooks.secrets = []
    #expect(SecurityWarnings.warnings(settings).isEmpty)
  }

  @Test(
    "warns of every secret that can be guessed, wherever the node listens, once for each setting and without the secret"
  )
  func weakSecrets() throws {
    let file = try SettingsFileOnDisk(
      #"{"hooks":[{"name":"ci","secret":["word","0123456789abcdef"],"scheme":"roost","room":"r"}]}"#)
    let (short, long) = ("word", "0123456789abcdef")
    for host in ["127.0.0.1", "0.0.0.0"] {
      let arguments = [
        "--config", file.path, "--host", host, "--auth", "jwt", "--jwt-secret", long, "--admin-token", short,
        "--api-key",
        short, "--webhook-url", "https://h/", "--webhook-secret", "\(short),other,\(long)", "--ice-servers", "turn:h",
        "--ice-secret", short, "--trusted-proxies", "10.0.0.0/8",
      ]
      guard case .serve(let settings) = try ServerSettings.parse(arguments: arguments, environment: [:], coreCount: 1)
      else { return }
      let weak = SecurityWarnings.warnings(settings).filter { $0.contains("can be guessed") }
      let names = ["admin-token", "api-key", "ice-secret", "jwt-secret", "webhook-secret", "secret of the hook ci"]
      #expect(weak.count == names.count && names.allSatisfy { name in weak.contains { $0.hasPrefix(name) } }, "\(weak)")
      #expect(!weak.contains { $0.contains(short) })
    }
    withExtendedLifetime(file) {}
  }

  @Test("warns of a backend whose decisions can be changed on the way, wherever the node listens")
  func backend() {
    for host in ["127.0.0.1", "0.0.0.0"] {
      var settings = ServerSettings()
      (settings.host, settings.authentication) = (host, .webhook)
      settings.trustedProxies = ["10.0.0.0/8"]
      for url in [
        "http://auth.example/hook", "http://a:b@10.0.0.9:80?x", "http://[2001:db8::1]:9/", "http://localhost.x",
      ] {
        settings.webhooks.url = url
        let warnings = SecurityWarnings.warnings(settings)
        #expect(warnings.count == 1 && warnings[0].contains("http://: what the backend decides"), "\(url) \(warnings)")
      }
      for url in ["https://auth.example", "http://localhost:9/x", "http://127.0.0.1/", "http://[::1]:9000/"] {
        settings.webhooks.url = url
        #expect(SecurityWarnings.warnings(settings).isEmpty, "\(url)")
      }
      settings.jwksLocation = "keys.json"
      settings.jwtDefaultRooms = ["a"]
      #expect(SecurityWarnings.warnings(settings).map { $0.hasPrefix("--jwks: auth=webhook") } == [true])
      settings.authentication = .jwt
      settings.webhooks.url = "http://auth.example/hook"
      // Events alone are only read there.
      #expect(SecurityWarnings.warnings(settings).count == (host == "0.0.0.0" ? 1 : 0))
    }
  }
}
