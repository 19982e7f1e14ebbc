import Testing

@testable import AddressCore

@Suite("PROXY protocol")
struct ProxyHeaderTests {
  /// What a reading came to, in a form that can be compared.
  private func read(_ bytes: [UInt8]) -> String {
    switch ProxyHeader.read(bytes.span) {
    case .needMore: "more"
    case .failed: "failed"
    case .header(let count, let source):
      "\(count) \(source.map { String(decoding: $0.text, as: UTF8.self) } ?? "itself")"
    }
  }

  static func make(_ command: UInt8, _ family: UInt8, _ body: [UInt8], length: Int? = nil) -> [UInt8] {
    let length = length ?? body.count
    return [0x0D, 0x0A, 0x0D, 0x0A, 0x00, 0x0D, 0x0A, 0x51, 0x55, 0x49, 0x54, 0x0A, command, family]
      + [UInt8(length >> 8), UInt8(length & 0xFF)] + body
  }

  static let ipv4: [UInt8] = [203, 0, 113, 7, 10, 0, 0, 1, 0x11, 0x22, 0x1F, 0x90]
  static let ipv6: [UInt8] =
    [0x20, 0x01, 0x0D, 0xB8] + [UInt8](repeating: 0, count: 11) + [5] + [UInt8](repeating: 1, count: 20)

  @Test("version 2 names the client over IPv4 and IPv6, with further fields behind, and health checks nobody")
  func binary() {
    #expect(read(Self.make(0x21, 0x11, Self.ipv4)) == "28 203.0.113.7")
    #expect(read(Self.make(0x21, 0x11, Self.ipv4 + [3, 0, 4, 1, 2, 3, 4])) == "35 203.0.113.7")
    #expect(read(Self.make(0x21, 0x21, Self.ipv6) + Array("GET /".utf8)) == "52 2001:db8::5")
    #expect(read(Self.make(0x20, 0x00, [])) == "16 itself")
    #expect(read(Self.make(0x20, 0x11, Self.ipv4)) == "28 itself")
    #expect(read(Self.make(0x21, 0x00, [])) == "16 itself")
    #expect(read(Self.make(0x21, 0x31, [UInt8](repeating: 0, count: 216))) == "232 itself")
  }

  @Test("version 1 names the client, and UNKNOWN nobody")
  func text() {
    #expect(read(Array("PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\nGET".utf8)) == "41 203.0.113.7")
    #expect(read(Array("PROXY TCP6 2001:db8::5 ::1 4711 80\r\n".utf8)) == "36 2001:db8::5")
    #expect(read(Array("PROXY UNKNOWN\r\n".utf8)) == "15 itself")
    #expect(read(Array("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n".utf8)) == "35 itself")
  }

  @Test("a beginning asks for more, however it is cut")
  func cut() {
    for header in [Self.make(0x21, 0x11, Self.ipv4), Array("PROXY TCP4 203.0.113.7 10.0.0.1 4711 80\r\n".utf8)] {
      for count in 0..<header.count { #expect(read(Array(header[..<count])) == "more", "\(count)") }
    }
  }

  static let wrongHeaders: [[UInt8]] = [
    Array("GET / HTTP/1.1\r\n".utf8), Array("PROXX".utf8), Array("P\r\n".utf8), [0x16, 3, 1], [0x0D, 0x0A, 0x0D, 0x0B],
    make(0x11, 0x11, ipv4), make(0x22, 0x11, ipv4), make(0x21, 0x41, ipv4), make(0x21, 0x11, [1, 2, 3, 4]),
    make(0x21, 0x21, ipv4), make(0x21, 0x11, [], length: 5000),
    Array("PROXY \r\n".utf8), Array("PROXY TCP4\r\n".utf8), Array("PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n".utf8),
    Array("PROXY TCP4 1.1.1.1 2.2.2.2 1 2 3\r\n".utf8), Array("PROXY TCP4 1.1.1.1 2.2.2.2 1 65536\r\n".utf8),
    Array("PROXY TCP4 1.1.1.1 2.2.2.2 1 02\r\n".utf8), Array("PROXY TCP4 ::1 ::2 1 2\r\n".utf8),
    Array("PROXY TCP4 1.1.1.1 2.2.2.2 1 2\n".utf8), Array("PROXY UDP4 1.1.1.1 2.2.2.2 1 2\r\n".utf8),
    Array("PROXY TCP4 a.example 2.2.2.2 1 2\r\n".utf8),
    Array("PROXY TCP4 ".utf8) + [UInt8](repeating: 0x31, count: 200),
  ]

  @Test("anything else is refused as soon as it is seen", arguments: wrongHeaders)
  func wrong(bytes: [UInt8]) { #expect(read(bytes) == "failed") }
}
