import Randomness
import Testing

@testable import HTTPCore

@Suite("Writing responses and reading them back")
struct ResponseTests {
  private func encoded(
    _ response: Response, answering method: Method = .get, connection: ConnectionOption = .implied
  ) -> String {
    var out: [UInt8] = []
    response.append(to: &out, answering: method, connection: connection)
    return text(out)
  }

  @Test("writes status, headers, length and body (RFC 9112 section 4)")
  func whole() {
    var response = Response.json(status: 404, Array("{}".utf8))
    response.forbidStoring()
    response.addHeader("X-A", "b")
    #expect(
      encoded(response)
        == "HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nX-A: b\r\n"
        + "Content-Length: 2\r\n\r\n{}")
    #expect(encoded(Response(status: 299)) == "HTTP/1.1 299 Unknown\r\nContent-Length: 0\r\n\r\n")
  }

  @Test("leaves the body out for HEAD but keeps its length (RFC 9110 section 9.3.2)")
  func head() {
    let expected = "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 2\r\n\r\n"
    #expect(encoded(.text("hi"), answering: .head) == expected)
  }

  @Test("writes neither length nor body where there is none (RFC 9110 section 8.6)")
  func bodiless() {
    for status in [101, 204, 304] {
      #expect(!encoded(Response(status: status, body: [0x41])).contains("Content-Length"))
      #expect(encoded(Response(status: status, body: [0x41])).hasSuffix("\r\n\r\n"))
    }
  }

  @Test("says how the connection goes on (RFC 9112 section 9)")
  func connection() throws {
    #expect(encoded(.html([]), connection: .close).contains("\r\nConnection: close\r\n"))
    #expect(encoded(.html([]), connection: .keepAlive).contains("\r\nConnection: keep-alive\r\n"))
    #expect(!encoded(.html([])).contains("Connection"))
    let stream = encoded(.stream(contentType: ServerSentEvents.contentType))
    #expect(stream == "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
    func option(_ request: String) throws -> ConnectionOption {
      ConnectionOption(answering: try #require(parsedHead(request)))
    }
    #expect(try option("GET / HTTP/1.1\r\nHost: h\r\n\r\n") == .implied)
    #expect(try option("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n") == .keepAlive)
    #expect(try option("GET / HTTP/1.0\r\n\r\n") == .close)
  }

  #if DEBUG
    @Test("stops on a line end in a header value in a debug build (RFC 9110 section 5.5)")
    func injection() async {
      await #expect(processExitsWith: .failure) {
        var response = Response(status: 200)
        response.addHeader("X", "a\r\nSet-Cookie: b")
      }
    }
  #else
    @Test("leaves line ends out of header values (RFC 9110 section 5.5)")
    func injection() {
      var response = Response(status: 200)
      response.addHeader("X", "a\r\nSet-Cookie: b")
      #expect(encoded(response).contains("X: aSet-Cookie: b\r\n"))
    }
  #endif

  /// Reads responses and describes them, with what is left behind them.
  private func read(_ pieces: [[UInt8]], answersHead: Bool = false, closes: Bool = false) -> [String] {
    var parser = ResponseParser(bodyBytesMax: 50, answersHead: answersHead)
    var seen: [String] = []
    func describe(_ event: ResponseParser.Event) -> Bool {
      switch event {
      case .needMore: return false
      case .failed: seen.append("failed")
      case .response(let response):
        seen.append("\(response.status) \(text(response.headers.first("A")) ?? "-") \(text(response.body))")
      }
      return true
    }
    for piece in pieces {
      var cursor = 0
      while describe(parser.next(in: piece.span, from: &cursor)) {
        if seen.last == "failed" || seen.last?.hasPrefix("101") == true { return seen }
      }
    }
    if closes { _ = describe(parser.end()) }
    return seen
  }

  @Test("reads responses by length, chunks and close, skipping interim ones (RFC 9112 section 6.3)")
  func parses() {
    let bytes = Array(
      ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi"
        + "HTTP/1.1 503\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\nHTTP/1.1 204 \r\n\r\n"
        + "HTTP/1.0 200 Fine\r\n\r\nrest").utf8)
    let expected = ["200 b hi", "503 - no", "204 - ", "200 - rest"]
    #expect(read([bytes], closes: true) == expected)
    #expect(read(single(bytes), closes: true) == expected)
    for seed in 1...30 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      #expect(read(random.cut(bytes, longest: 15), closes: true) == expected, "seed \(seed)")
    }
  }

  @Test("leaves what follows a 101 to the next protocol (RFC 9110 section 15.2.2)")
  func upgrade() {
    var parser = ResponseParser(bodyBytesMax: 0)
    var cursor = 0
    let bytes = Array("HTTP/1.1 101 Switching Protocols\r\nA: b\r\n\r\n".utf8) + [0x81, 0x00]
    guard case .response(let response) = parser.next(in: bytes.span, from: &cursor) else {
      Issue.record("no response")
      return

    }
    #expect(response.status == 101)
    #expect(cursor == bytes.count - 2)
  }

  @Test("expects no body after HEAD (RFC 9112 section 6.3)")
  func answersHead() {
    let bytes = Array("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n".utf8)
    #expect(read([bytes + bytes], answersHead: true) == ["200 - ", "200 - "])
  }

  @Test("fails on malformed, cut and overlong responses")
  func malformed() {
    for wire in [
      "HTTP/2 200\r\n\r\n", "HTTP/1.1 20\r\n\r\n", "HTTP/1.1 2000\r\n\r\n", "HTTP/1.1 abc\r\n\r\n", "nonsense\r\n\r\n",
      "HTTP/1.1 200 OK\n\n", "HTTP/1.1 200 OK\r\nContent-Length: 51\r\n\r\n",
      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
      "HTTP/1.1 20", "",
    ] {
      #expect(read([Array(wire.utf8)], closes: true) == ["failed"], "\(wire)")
    }
  }

  @Test(
    "never traps on mutated responses, and reads them the same however cut", arguments: 1...200 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let bytes = random.mutate(
      Array(
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 2\r\n\r\nhi"
          + "HTTP/1.1 503\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n").utf8))
    let whole = read([bytes], closes: true)
    #expect(read(single(bytes), closes: true) == whole)
  }
}
