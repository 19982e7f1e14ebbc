import Testing

@testable import AddressCore

@Suite("Addresses")
struct IPAddressTests {
  static let spellings: [(String, String)] = [
    ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"),
    ("::ffff:192.0.2.1", "192.0.2.1"), ("::ffff:c000:201", "192.0.2.1"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
    ("2001:DB8::0001", "2001:db8::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"),
    ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
    ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("fe80::1%eth0", "fe80::1"), ("1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"),
    ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
  ]

  @Test("are read in every spelling of RFC 4291 section 2.2 and written in the one of RFC 5952", arguments: spellings)
  func text(spelling: String, canonical: String) throws {
    let address = try #require(IPAddress(spelling))
    #expect(String(decoding: address.text, as: UTF8.self) == canonical)
    #expect(IPAddress(canonical) == address)
  }

  static let wrongTexts = [
    "", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "1..2.3", "-1.2.3.4", "1.2.3.4:80", ":", ":::",
    "1::2::3", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::12345", "::g", "1:", ":1", "::1.2.3",
    "1:2:3:4:5:6:7:1.2.3.4", "[::1]", "localhost", "unknown", "%", "1.2.3.4%0",
  ]

  @Test("are not made of anything else", arguments: wrongTexts)
  func nonsense(text: String) {
    #expect(IPAddress(text) == nil)
  }

  @Test("know which of them nobody on the internet has")
  func local() throws {
    for text in [
      "127.0.0.1", "127.9.9.9", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.0.1", "169.254.1.1", "::1",
      "fe80::1", "fd00::1", "fc12::1", "::ffff:10.0.0.1",
    ] { #expect(try #require(IPAddress(text)).isLocal, "\(text)") }
    for text in [
      "128.0.0.1", "11.0.0.1", "172.15.0.1", "172.32.0.1", "192.169.0.1", "8.8.8.8", "100.64.0.1", "2001:db8::1",
      "::2", "fe00::1", "fec0::1", "::ffff:8.8.8.8", "0.0.0.0",
    ] { #expect(try !#require(IPAddress(text)).isLocal, "\(text)") }
  }

  @Test("of one IPv6 subscriber are one /64 (RFC 6177), of IPv4 each its own")
  func subscriber() throws {
    let (a, b) = (try #require(IPAddress("2001:db8:1:2::1")), try #require(IPAddress("2001:db8:1:2:ffff::9")))
    #expect(a.subscriber == b.subscriber)
    #expect(try #require(IPAddress("2001:db8:1:3::1")).subscriber != a.subscriber)
    #expect(try #require(IPAddress("192.0.2.1")).subscriber != #require(IPAddress("192.0.2.2")).subscriber)
  }

  @Test("lie in a block or not, whichever way they are written")
  func networks() throws {
    let ten = try #require(IPNetwork("10.0.0.0/8"))
    #expect(try ten.contains(#require(IPAddress("10.255.0.1"))))
    #expect(try ten.contains(#require(IPAddress("::ffff:10.0.0.1"))))
    #expect(try !ten.contains(#require(IPAddress("11.0.0.1"))))
    #expect(try !ten.contains(#require(IPAddress("2001:db8::1"))))
    let six = try #require(IPNetwork("2001:db8::/33"))
    #expect(try six.contains(#require(IPAddress("2001:db8:7fff::1"))))
    #expect(try !six.contains(#require(IPAddress("2001:db8:8000::1"))))
    #expect(try #require(IPNetwork("192.0.2.1")).contains(#require(IPAddress("192.0.2.1"))))
    #expect(try !#require(IPNetwork("192.0.2.1")).contains(#require(IPAddress("192.0.2.0"))))
    #expect(try #require(IPNetwork("0.0.0.0/0")).contains(#require(IPAddress("203.0.113.1"))))
    #expect(try !#require(IPNetwork("0.0.0.0/0")).contains(#require(IPAddress("2001:db8::1"))))
    #expect(try #require(IPNetwork("::/0")).contains(#require(IPAddress("203.0.113.1"))))
    for text in [
      "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "2001:db8::1/32", "::/129", "a/8", "1.2.3.4/+8",
    ] {
      #expect(IPNetwork(text) == nil, "\(text)")
    }
  }
}
