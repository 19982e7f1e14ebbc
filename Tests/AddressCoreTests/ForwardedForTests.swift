import Testing

@testable import AddressCore

@Suite("X-Forwarded-For")
struct ForwardedForTests {
  private func client(_ list: String, peer: String, trusted: [String]) throws -> String {
    let bytes = Array(list.utf8)
    let networks = TrustedProxies(try trusted.map { try #require(IPNetwork($0)) })
    let found = ForwardedFor.client(bytes.span, peer: try #require(IPAddress(peer)), trusted: networks)
    return String(decoding: found.text, as: UTF8.self)
  }

  @Test("of a peer that is not trusted is nobody's word")
  func untrusted() throws {
    #expect(try client("198.51.100.1", peer: "203.0.113.9", trusted: ["10.0.0.0/8"]) == "203.0.113.9")
    #expect(try client("198.51.100.1", peer: "10.0.0.1", trusted: []) == "10.0.0.1")
  }

  @Test("names the rightmost address that is no trusted proxy, whatever the client has written before it")
  func rightmost() throws {
    let trusted = ["10.0.0.0/8", "2001:db8:f::/48"]
    #expect(try client("198.51.100.1", peer: "10.0.0.1", trusted: trusted) == "198.51.100.1")
    #expect(try client("127.0.0.1, 198.51.100.1", peer: "10.0.0.1", trusted: trusted) == "198.51.100.1")
    #expect(try client("1.1.1.1,198.51.100.1 , 10.0.0.7", peer: "10.0.0.1", trusted: trusted) == "198.51.100.1")
    #expect(try client("8.8.8.8, 2001:db8::5, 10.9.9.9", peer: "2001:db8:f::1", trusted: trusted) == "2001:db8::5")
    // Trusted all the way: the first of them asked for itself.
    #expect(try client("10.0.0.3, 10.0.0.2", peer: "10.0.0.1", trusted: trusted) == "10.0.0.3")
  }

  @Test("may carry ports and brackets, and stops at what is no address")
  func spellings() throws {
    let trusted = ["10.0.0.0/8"]
    for (list, expected) in [
      ("198.51.100.1:4711", "198.51.100.1"), ("[2001:db8::5]", "2001:db8::5"), ("[2001:db8::5]:80", "2001:db8::5"),
      ("2001:db8::5", "2001:db8::5"), ("\t198.51.100.1\t", "198.51.100.1"), ("", "10.0.0.1"), (",", "10.0.0.1"),
      ("198.51.100.1,", "10.0.0.1"), ("unknown", "10.0.0.1"), ("198.51.100.1, _hidden", "10.0.0.1"),
      ("198.51.100.1, junk, 10.0.0.2", "10.0.0.2"), ("[2001:db8::5", "10.0.0.1"), ("198.51.100.1:http", "10.0.0.1"),
      ("198.51.100.1:123456", "10.0.0.1"), ("[198.51.100.1]x", "10.0.0.1"), ("\"198.51.100.1\"", "10.0.0.1"),
    ] { #expect(try client(list, peer: "10.0.0.1", trusted: trusted) == expected, "\(list)") }
  }
}
