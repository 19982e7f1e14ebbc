import Testing

@testable import Commands

@Suite struct ServerURLTests {
  @Test(
    "reads host and port of an address (RFC 3986 section 3.2)",
    arguments: [
      ("http://127.0.0.1:8080", "127.0.0.1", 8080, ""), ("HTTP://Host", "Host", 80, ""),
      ("https://example.org/", "example.org", 443, ""), ("http://[::1]:81/roost//", "::1", 81, "/roost"),
    ] as [(String, String, UInt16, String)])
  func address(_ text: String, _ host: String, _ port: UInt16, _ path: String) throws {
    let url = try #require(ServerURL(parsing: text))
    #expect(url.host == host)
    #expect(url.port == port)
    #expect(url.path == path)
  }

  @Test(
    "refuses what is no absolute http URL of a host alone",
    arguments: [
      "", "localhost:8080", "ws://h", "http://", "http://:80", "http://h:0", "http://h:65536", "http://h:8o",
      "http://h:",
      "http://u:p@h",
      "http://h/?a", "http://h/#a", "http://h /", "http://[::1", "http://[::1]x", "http://h\r\nX: y",
    ])
  func refused(_ text: String) { #expect(ServerURL(parsing: text) == nil) }
}
