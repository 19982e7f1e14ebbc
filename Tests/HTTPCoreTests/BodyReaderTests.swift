import Testing

@testable import HTTPCore

@Suite("Reading bodies")
struct BodyReaderTests {
  /// Reads a body whole and byte by byte, which must agree: its text, or the status of the failure, or nil for neither.
  private func body(_ wire: String, _ framing: BodyFraming = .chunked, max: Int = 100) -> String? {
    let bytes = Array(wire.utf8)
    func read(_ pieces: [[UInt8]]) -> (String?, consumed: Int) {
      var reader = BodyReader(framing, bodyBytesMax: max)
      var consumed = 0
      for piece in pieces {
        var cursor = 0
        let event = reader.next(in: piece.span, from: &cursor)
        consumed += cursor
        switch event {
        case .needMore: #expect(cursor == piece.count)
        case .complete(let body): return (text(body), consumed)
        case .failed(let status, _): return ("\(status)", 0)
        }
      }
      return (nil, consumed)
    }
    let whole = read([bytes])
    let cut = read(single(bytes))
    #expect(whole == cut)
    return whole.0
  }

  @Test("reads a body of known length and not a byte beyond (RFC 9112 section 6.3)")
  func length() {
    #expect(body("hello", .length(5)) == "hello")
    #expect(body("hell", .length(5)) == nil)
    var reader = BodyReader(.length(2), bodyBytesMax: 2)
    var cursor = 1
    let bytes = Array("abcd".utf8)
    guard case .complete(let body) = reader.next(in: bytes.span, from: &cursor) else {
      Issue.record("not whole")
      return

    }
    #expect(text(body) == "bc")
    #expect(cursor == 3)
  }

  @Test("completes an absent or empty body without input")
  func empty() {
    for framing in [.none, .length(0)] as [BodyFraming] {
      var reader = BodyReader(framing, bodyBytesMax: 0)
      var cursor = 0
      guard case .complete(let body) = reader.next(in: Span(), from: &cursor) else {
        Issue.record("not whole")
        return
      }
      #expect(body.isEmpty)
    }
  }

  @Test("refuses an announced length over the limit at once with 413 (RFC 9110 section 15.5.14)")
  func limit() {
    #expect(body("x", .length(101)) == "413")
    #expect(body("65\r\n") == "413")
    #expect(body("FFFFFFFFFFFFFFFF\r\n") == "413")
    #expect(body("3\r\nabc\r\n62\r\n") == "413")
    #expect(body("3\r\nabc\r\n61\r\n") == nil)
    #expect(body(String(repeating: "a", count: 101), .untilClose) == "413")
  }

  @Test("reads chunks, their extensions and trailers (RFC 9112 section 7.1)")
  func chunks() {
    #expect(body("0\r\n\r\n") == "")
    #expect(body("5\r\nhello\r\n0\r\n\r\n") == "hello")
    #expect(body("00a\r\n0123456789\r\n1;x=\"y;z\"\r\n!\r\n000\r\n\r\n") == "0123456789!")
    #expect(body("1 \t;a\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n") == "x")
    #expect(body("A\r\n\r\n\r\n\r\n\r\n\r\n\r\n0\r\n\r\n") == "\r\n\r\n\r\n\r\n\r\n")
    #expect(body("0\r\n") == nil)
    #expect(body(String(repeating: "1\r\nx\r\n", count: 40) + "0\r\n\r\n") == String(repeating: "x", count: 40))
  }

  @Test(
    "refuses malformed chunks with 400 (RFC 9112 section 7.1)",
    arguments: [
      "\r\n", ";a\r\n", "g\r\n", "-1\r\n", "0x1\r\n", "1\nx", "1\rx", "1 \r\n", "1\r\nxy", "1\r\nx\n", "1\r\nx\ry",
      "1\r\nx\r\n\r\n",
      "1;a\u{0}\r\n", "1;a\n", "00000000000000001\r\n", "0\r\n\n", "0\r\nA\u{1}: b\r\n\r\n",
    ])
  func malformed(wire: String) { #expect(body(wire) == "400") }

  @Test("bounds extensions and trailers (RFC 9112 sections 7.1.1 and 7.1.2)")
  func overhead() {
    let most = String(repeating: "x", count: ChunkFraming.extensionBytesMax - 1)
    #expect(body("0;\(most)\r\n\r\n") == "")
    #expect(body("0;\(most)x\r\n\r\n") == "400")
    // The limit is for the body, not for each chunk.
    let half = String(repeating: "x", count: ChunkFraming.extensionBytesMax / 2)
    #expect(body("1;\(half)\r\na\r\n1;\(half)\r\nb\r\n") == "400")
    #expect(body("0\r\nA: " + String(repeating: "x", count: ChunkFraming.trailerBytesMax)) == "431")
  }

  @Test("ends with the connection only when nothing else does (RFC 9112 section 8)")
  func close() {
    var reader = BodyReader(.untilClose, bodyBytesMax: 10)
    var cursor = 0
    let bytes = Array("abc".utf8)
    guard case .needMore = reader.next(in: bytes.span, from: &cursor), case .complete(let body) = reader.end() else {
      Issue.record("not whole")
      return

    }
    #expect(text(body) == "abc")
    var cut = BodyReader(.length(5), bodyBytesMax: 10)
    guard case .failed = cut.end() else {
      Issue.record("a cut body passed")
      return
    }
  }
}
