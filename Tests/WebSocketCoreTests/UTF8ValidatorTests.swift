import Testing

@testable import WebSocketCore

@Suite("Validating UTF-8")
struct UTF8ValidatorTests {
  /// Judges by the standard library.
  private func isUTF8(_ bytes: [UInt8]) -> Bool { String(validating: bytes, as: UTF8.self) != nil }

  @Test("agrees with the standard library on every sequence of up to two bytes (RFC 3629 section 4)")
  func short() {
    for first in 0...255 as ClosedRange<UInt8> {
      #expect(UTF8Validator.isValid([first].span) == isUTF8([first]))
      for second in 0...255 as ClosedRange<UInt8> {
        let bytes = [first, second]
        #expect(UTF8Validator.isValid(bytes.span) == isUTF8(bytes))
      }
    }
  }

  @Test("agrees on the borders of three and four bytes behind ASCII of any alignment (RFC 3629 section 4)")
  func borders() {
    let edges: [UInt8] = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
    for lead in [0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF] as [UInt8] {
      for second in edges {
        for third in edges {
          for tail in [[], [0x80], [0xBF], [0x41]] as [[UInt8]] {
            let bytes = [UInt8](repeating: 0x61, count: Int(second) % 75) + [lead, second, third] + tail
            #expect(UTF8Validator.isValid(bytes.span) == isUTF8(bytes))
          }
        }
      }
    }
  }

  @Test("fails on the first byte that cannot be, in pieces as in one")
  func pieces() {
    let bytes = Array("aß世🎈".utf8) + [0xED, 0xA0, 0x80]
    var validator = UTF8Validator()
    var accepted = 0
    for byte in bytes {
      guard validator.accept([byte].span) else { break }
      accepted += 1
    }
    #expect(accepted == bytes.count - 2)
  }
}
