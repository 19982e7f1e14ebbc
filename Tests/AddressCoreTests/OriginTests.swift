import Testing

@testable import AddressCore

@Suite("Origins of web pages")
struct OriginTests {
  private func lets(_ entry: String, _ origin: String) throws -> Bool {
    try OriginRule(entry).matches(Array(origin.utf8).span)
  }

  private static let matching: [(entry: String, yes: [String], no: [String])] = [
    (
      "https://Chat.example.com",
      ["https://chat.example.com", "HTTPS://CHAT.example.com", "https://chat.example.com:443"],
      [
        "http://chat.example.com", "https://chat.example.com:8443", "https://chat.example.com.evil.net",
        "https://evil-chat.example.com", "https://a.chat.example.com", "null", "", "https://chat.example.com/",
      ]
    ),
    ("https://a.example:443", ["https://a.example"], ["http://a.example:443", "https://a.example:80"]),
    ("http://a:80", ["http://a", "http://a:80"], ["https://a", "http://a:8080"]),
    ("http://localhost:3000", ["http://localhost:3000"], ["http://localhost", "https://localhost:3000"]),
    (
      "https://*.example.com", ["https://a.example.com", "https://a.b.example.com:443"],
      [
        "https://example.com", "http://a.example.com", "https://a.example.com:8443", "https://evilexample.com",
        "https://.example.com.evil",
      ]
    ),
    ("https://*.example.com:8443", ["https://a.example.com:8443"], ["https://a.example.com"]),
    (
      "*.example.com", ["https://a.example.com", "http://a.b.example.com:81"],
      ["https://example.com", "https://evilexample.com", "capacitor://a.example.com"]
    ),
    ("*.example.com:443", ["https://a.example.com"], ["http://a.example.com"]),
    (
      "chat.example.com", ["https://chat.example.com:1", "http://chat.example.com"],
      ["https://a.chat.example.com", "app://chat.example.com"]
    ),
    ("localhost:8080", ["http://localhost:8080", "https://localhost:8080"], ["http://localhost"]),
    (
      "capacitor://localhost", ["capacitor://localhost", "Capacitor://LOCALHOST"],
      ["ionic://localhost", "https://localhost", "capacitor://localhost:1"]
    ),
    ("chrome-extension://abcdef", ["chrome-extension://abcdef"], ["chrome-extension://abcdeg"]),
    ("file://", ["file://"], ["https://a", "null"]),
    ("null", ["null"], ["NULL", "", "https://null", "file://"]),
    ("http://[0:0:0:0:0:0:0:1]:8080", ["http://[::1]:8080"], ["http://[::2]:8080", "http://[::1]"]),
    ("[::1]", ["http://[::1]:8080", "https://[0::1]"], ["http://127.0.0.1"]),
    ("http://127.0.0.1:8080", ["http://127.0.0.1:8080"], ["http://127.0.0.1"]),
    ("https://xn--bcher-kva.example", ["https://xn--bcher-kva.example"], []),
    ("https://a_b.example.", ["https://a_b.example."], ["https://a_b.example"]),
  ]

  @Test("lets in exactly the pages that an entry names, whatever its letters, port or form (RFC 6454 section 4)")
  func matches() throws {
    for (entry, yes, no) in OriginTests.matching {
      for origin in yes { #expect(try lets(entry, origin), "\(entry) and \(origin)") }
      for origin in no { #expect(try !lets(entry, origin), "\(entry) and \(origin)") }
    }
  }

  @Test("finds an entry that no page can ever match, and says why")
  func never() {
    let wrong: [(String, String)] = [
      ("https://*", "star"), ("https://a.*.example", "star"), ("https://example.com/", "slash"),
      ("https://example.com/chat", "path"), ("wss://chat.example.com", "https://"), ("ws://a", "http://"),
      ("https://bücher.example", "xn--"), ("https://a.example:0", "port 0"), ("https://a.example:65536", "no origin"),
      ("https://a.example:", "no origin"), ("https://a.example:x", "no origin"), ("https://u@a.example", "no origin"),
      ("https://a..example", "empty label"), ("https://.a", "empty label"), ("*.", "no host"), ("https://", "no host"),
      ("://a", "no origin"), ("http://127.1", "four numbers"), ("*.127.0.0.1", "four numbers"), ("::1", "brackets"),
      ("http://2001:db8::1", "brackets"), ("*.[::1]", "address"), ("http://[::1", "no origin"),
      ("http://[::g]", "no origin"),
      ("https://a b", "no origin"), ("https://a?b", "no origin"), ("https://a#b", "no origin"),
      ("capacitor://", "no host"),
      ("https://a;b", "no origin"), ("https:/a", "path"), ("https:///a", "path"),
    ]
    for (entry, why) in wrong {
      do {
        _ = try OriginRule(entry)
        Issue.record("\(entry) was taken")
      } catch { #expect(error.reason.contains(why), "\(entry): \(error.reason)") }
    }
  }

  @Test("matches itself, if it is one origin and was taken")
  func itself() throws {
    for (entry, _, _) in OriginTests.matching where entry.contains("://") && !entry.contains("*") {
      #expect(try lets(entry, entry), "\(entry)")
    }
  }

  @Test("knows the node's own pages by what Host says, the scheme's own port filled in")
  func own() {
    guard let page = WebOrigin(Array("https://Chat.example".utf8).span) else {
      Issue.record("no origin")
      return
    }
    func isOwn(_ host: String) -> Bool { WebOrigin(scheme: page.scheme, authority: Array(host.utf8).span) == page }
    #expect(isOwn("chat.example") && isOwn("CHAT.example:443"))
    #expect(!isOwn("chat.example:80") && !isOwn("example") && !isOwn("") && !isOwn("chat.example:x"))
  }
}
