import Testing

@testable import WebSocketCore

@Suite("Refusing what RFC 6455 forbids")
struct MessageReaderRuleTests {
  /// Reads the bytes whole and one by one, and expects nothing but a failure with this code.
  private func expectFailure(
    _ code: UInt16, _ bytes: [UInt8], _ reader: MessageReader = server(),
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(read([bytes], reader) == [.failed(code)], sourceLocation: sourceLocation)
    #expect(read(single(bytes), reader) == [.failed(code)], sourceLocation: sourceLocation)
  }

  @Test("closes with 1002 on an unmasked client frame (RFC 6455 section 5.1)")
  func unmasked() { expectFailure(1002, frame(0x1, [0x41], key: nil)) }

  @Test("closes with 1002 on a masked server frame (RFC 6455 section 5.1)")
  func masked() {
    expectFailure(1002, frame(0x1, [0x41]), MessageReader(role: .client, messageBytesMax: 10, deflate: false))
  }

  @Test("closes with 1002 on reserved bits, on their first byte (RFC 6455 section 5.2)")
  func reservedBits() {
    for rsv in [1, 2, 3, 4, 5, 6, 7] as [UInt8] {
      expectFailure(1002, [frame(0x1, [0x41], rsv: rsv)[0]])
      if rsv != 4 { expectFailure(1002, frame(0x1, [0x41], rsv: rsv), server(deflate: true)) }
    }
  }

  @Test("closes with 1002 on RSV1 where no message begins (RFC 7692 section 6)")
  func compressedElsewhere() {
    expectFailure(1002, frame(0x9, [], rsv: 4), server(deflate: true))
    expectFailure(1002, frame(0x8, [], rsv: 4), server(deflate: true))
    expectFailure(1002, frame(0x1, [], fin: false) + frame(0x0, [], rsv: 4), server(deflate: true))
  }

  @Test("closes with 1002 on unknown opcodes (RFC 6455 section 5.2)")
  func opcodes() {
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] as [UInt8] { expectFailure(1002, frame(opcode)) }
  }

  @Test("closes with 1002 on a length longer than its form needs (RFC 6455 section 5.2)")
  func minimalLength() {
    expectFailure(1002, frame(0x2, [], lengthForm: 2))
    expectFailure(1002, frame(0x2, [UInt8](repeating: 0, count: 125), lengthForm: 2))
    expectFailure(1002, frame(0x2, [UInt8](repeating: 0, count: 126), lengthForm: 8))
    expectFailure(1002, frame(0x2, [UInt8](repeating: 0, count: 65535), lengthForm: 8))
  }

  @Test("closes with 1002 on a length of 64 bits (RFC 6455 section 5.2)")
  func longLength() { expectFailure(1002, [0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 1]) }

  @Test("closes with 1002 on long or fragmented control frames (RFC 6455 section 5.5)")
  func control() {
    for opcode in [0x8, 0x9, 0xA] as [UInt8] {
      expectFailure(1002, frame(opcode, [UInt8](repeating: 0, count: 126)))
      expectFailure(1002, frame(opcode, [], fin: false))
    }
    let longest = [UInt8](repeating: 1, count: 125)
    #expect(read([frame(0x9, longest)]) == [.ping(longest)])
  }

  @Test("closes with 1002 on a continuation of nothing and on a message inside another (RFC 6455 section 5.4)")
  func continuation() {
    expectFailure(1002, frame(0x0, [1]))
    expectFailure(1002, frame(0x1, [0x41], fin: false) + frame(0x1, [0x41]))
    #expect(read([frame(0x2, [1]) + frame(0x0, [1])]).last == .failed(1002))
  }

  @Test("closes with 1009 as soon as the announced length passes the limit (RFC 6455 section 7.4.1)")
  func limit() {
    let reader = server(max: 100)
    let hundred = [UInt8](repeating: 0, count: 100)
    let whole = frame(0x2, hundred)
    let message = Seen.message(.binary, compressed: false, hundred)
    #expect(read([whole], reader) == [message])
    expectFailure(1009, [0x82, 0x80 | 101], reader)
    expectFailure(1009, [0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF], reader)
    let most = frame(0x2, [UInt8](repeating: 0, count: 60), fin: false)
    expectFailure(1009, most + [0x00, 0x80 | 41], reader)
    #expect(read([most + frame(0x0, [UInt8](repeating: 0, count: 40))], reader) == [message])
    // The sum starts anew with the next message, and control frames do not count.
    #expect(read([whole + frame(0x9, [1]) + whole], reader) == [message, .ping([1]), message])
  }

  @Test("reads close frames with and without a body (RFC 6455 section 5.5.1)")
  func closing() {
    #expect(read([frame(0x8)]) == [.close(nil, [])])
    #expect(read(single(close(1000))) == [.close(1000, [])])
    #expect(read([close(4999, Array("bye".utf8))]) == [.close(4999, Array("bye".utf8))])
    let longest = [UInt8](repeating: 0x61, count: 123)
    #expect(read(single(close(1001, longest))) == [.close(1001, longest)])
    // RFC 6455 section 5.5.1: what comes after a close frame is not read.
    #expect(read([close(1000) + frame(0x1, [0x41]) + [0xFF]]) == [.close(1000, [])])
  }

  @Test("closes with 1002 on a close body of one byte (RFC 6455 section 5.5.1)")
  func shortClose() { expectFailure(1002, frame(0x8, [3])) }

  @Test("closes with 1002 on close codes not allowed in a frame (RFC 6455 section 7.4)")
  func closeCodes() {
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] as [UInt16] {
      expectFailure(1002, close(code))
    }
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999] {
      #expect(read([close(UInt16(code))]) == [.close(UInt16(code), [])])
    }
  }

  @Test("closes with 1007 on a close reason that is not UTF-8 (RFC 6455 section 8.1)")
  func closeReason() {
    expectFailure(1007, close(1000, [0xC3]))
    expectFailure(1007, close(1000, [0xFF]))
  }

  @Test("closes with 1007 on the first bad byte, before the frame ends (RFC 6455 section 8.1)")
  func textFailsFast() {
    let bad = frame(0x1, Array("κόσμε".utf8) + [0xF4, 0x90] + [UInt8](repeating: 0x41, count: 50))
    let cut = 6 + "κόσμε".utf8.count
    #expect(read([Array(bad.prefix(cut + 1))]) == [])
    #expect(read([Array(bad.prefix(cut + 2))]) == [.failed(1007)])
    // The same across fragments, and at the end of a message inside a code point.
    expectFailure(1007, frame(0x1, [0xE4], fin: false) + frame(0x0, [0x41], fin: false))
    expectFailure(1007, frame(0x1, [0xE4, 0xB8]))
    #expect(
      read([frame(0x1, [0xE4], fin: false) + frame(0x0, [0xB8, 0x96])]) == [
        .message(.text, compressed: false, [0xE4, 0xB8, 0x96])
      ])
  }
}
