import Testing

@testable import WebSocketCore

@Suite("Writing frames")
struct FrameWriterTests {
  @Test("writes the shortest header for every length (RFC 6455 section 5.2)")
  func lengths() {
    for count in [0, 1, 125, 126, 127, 65535, 65536, 70000] {
      let payload = [UInt8](repeating: 5, count: count)
      var out: [UInt8] = [0xEE]
      FrameWriter.appendFrame(.binary, payload: payload.span, to: &out)
      #expect(out == [0xEE] + frame(0x2, payload, key: nil))
      var header: [UInt8] = []
      FrameWriter.appendHeader(.binary, payloadBytes: count, to: &header)
      #expect(header == frame(0x2, payload, key: nil).dropLast(count))
    }
  }

  @Test("writes fin, RSV1 and opcode where they belong (RFC 6455 section 5.2)")
  func bits() {
    let one: [UInt8] = [1]
    let two: [UInt8] = [2]
    var out: [UInt8] = []
    FrameWriter.appendFrame(.text, fin: false, rsv1: true, payload: one.span, to: &out)
    FrameWriter.appendFrame(.continuation, payload: two.span, to: &out)
    FrameWriter.appendFrame(.pong, payload: Span(), to: &out)
    #expect(out == [0x41, 1, 1, 0x80, 1, 2, 0x8A, 0])
  }

  @Test("masks client frames with the key's bytes in order (RFC 6455 section 5.3)")
  func masked() {
    for count in [0, 1, 5, 63, 64, 79, 126, 70000] {
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0) }
      var out: [UInt8] = []
      FrameWriter.appendMaskedFrame(.binary, key: MaskingKey(0x3D21_FA37), payload: payload.span, to: &out)
      #expect(out == frame(0x2, payload, key: [0x37, 0xFA, 0x21, 0x3D]))
    }
  }

  @Test("cuts a close reason at 123 bytes between code points (RFC 6455 section 5.5)")
  func closeReason() {
    for (text, expected) in [
      (String(repeating: "a", count: 123), 123), (String(repeating: "a", count: 124), 123),
      (String(repeating: "a", count: 122) + "ß", 122), (String(repeating: "🎈", count: 40), 120),
    ] {
      let reason = Array(text.utf8)
      var out: [UInt8] = []
      FrameWriter.appendClose(CloseCode(rawValue: 1012), reason: reason.span, to: &out)
      #expect(out == [0x88, UInt8(2 + expected), 0x03, 0xF4] + reason.prefix(expected))
    }
    var out: [UInt8] = []
    FrameWriter.appendClose(nil, reason: Span(), to: &out)
    FrameWriter.appendClose(.normal, reason: "bye", to: &out)
    #expect(out == [0x88, 0, 0x88, 5, 0x03, 0xE8, 0x62, 0x79, 0x65])
  }
}
