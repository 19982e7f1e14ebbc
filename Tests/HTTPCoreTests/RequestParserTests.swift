import Randomness
import Testing

@testable import HTTPCore

@Suite("Parsing requests")
struct RequestParserTests {
  /// Expects the same failure whole and byte by byte.
  private func expectFailure(
    _ status: Int, _ text: String, limits: HeadLimits = HeadLimits(), sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let bytes = Array(text.utf8)
    #expect(read([bytes], limits: limits) == [.failed(status)], "\(text.prefix(60))", sourceLocation: sourceLocation)
    #expect(read(single(bytes), limits: limits) == [.failed(status)], sourceLocation: sourceLocation)
  }

  @Test("reads a head with all it says")
  func whole() throws {
    let head = try #require(
      parsedHead(
        "POST /admin/pr%C3%A9sence/a%2Fb?room=a+b&room=%63&x HTTP/1.1\r\nHost: h:80\r\nCookie: a=1\r\ncookie:b=2 \r\n"
          + "X:\t \r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n"))
    #expect(head.method == .post)
    #expect(text(head.methodName) == "POST")
    #expect(text(head.path) == "/admin/pr%C3%A9sence/a%2Fb")
    #expect(head.query.all("room").map { text($0) } == ["a b", "c"])
    #expect(head.query.first("x") == [])
    #expect(head.query.first("y") == nil)
    #expect(head.cookie("a").map { text($0) } == "1")
    #expect(head.cookie("b").map { text($0) } == "2")
    #expect(head.copy(.host).map { text($0) } == "h:80")
    #expect(head.copy(.origin) == nil)
    #expect(head.contentLength == 3)
    #expect(head.framing != .chunked)
    #expect(head.expectsContinue)
    #expect(head.keepAlive)
    #expect(head.versionMinor == 1)
  }

  @Test("tells methods apart and keeps unknown ones (RFC 9110 section 9.1)")
  func methods() throws {
    let known: [(String, Method)] = [
      ("GET", .get), ("HEAD", .head), ("POST", .post), ("PUT", .put), ("DELETE", .delete), ("OPTIONS", .options),
      ("PATCH", .patch), ("BREW", .other), ("get", .other),
    ]
    for (name, method) in known {
      #expect(try #require(parsedHead("\(name) / HTTP/1.1\r\nHost: h\r\n\r\n")).method == method)
    }
  }

  @Test("reads absolute and asterisk targets (RFC 9112 section 3.2)")
  func targets() {
    func path(_ target: String, _ method: String = "GET") -> String? {
      parsedHead("\(method) \(target) HTTP/1.1\r\nHost: h\r\n\r\n").map { text($0.path) }
    }
    #expect(path("http://example.com/a?b") == "/a")
    #expect(path("HTTPS://example.com") == "/")
    #expect(parsedHead("GET http://example.com?q=1 HTTP/1.1\r\nHost: h\r\n\r\n")?.query.first("q") == [0x31])
    #expect(path("*", "OPTIONS") == "*")
    #expect(path("*") == nil)
    #expect(path("example.com:80", "CONNECT") == nil)
    // RFC 9112 section 3.2.2: the target's own host counts, not the header's.
    let head = parsedHead("GET http://other:8080/a HTTP/1.1\r\nHost: h\r\n\r\n")
    #expect(head?.copyAuthority().map { text($0) } == "other:8080")
  }

  @Test("refuses a host that is none, in the target as in Host (RFC 9110 section 4.2, RFC 9112 section 3.2)")
  func authorities() {
    let wrong = [
      "[::1", "[::1]x", "[]", "[1]", "[::g]", "[fe80::1%25eth0]", "a:b", "a:1:2", "a:65536", "a:000001", "a\\b", "u@h",
      "a,b", "a%zz", "a b", "a\"b",
    ]
    for host in wrong {
      expectFailure(400, "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n")
      expectFailure(400, "GET http://\(host)/ HTTP/1.1\r\nHost: h\r\n\r\n")
    }
    for host in ["", ":80", "?a", "/a"] { expectFailure(400, "GET http://\(host) HTTP/1.1\r\nHost: h\r\n\r\n") }
    expectFailure(400, "GET http://a\\healthz HTTP/1.1\r\nHost: h\r\n\r\n")
    for host in ["a:", "A-b.c_d~:1", "[::1]:80", "[::ffff:127.0.0.1]", "a%20b", "127.0.0.1:65535"] {
      #expect(parsedHead("GET http://\(host)/ HTTP/1.1\r\nHost: \(host)\r\n\r\n") != nil, "\(host)")
    }
  }

  @Test("refuses paths that a proxy may read as others (RFC 3986 sections 3.3 and 6.2.2.3)")
  func ambiguousPaths() {
    let wrong = [
      "//", "//a", "/a//b", "/a//", "/.", "/..", "/./a", "/a/./b", "/a/../b", "/a/..", "/%2e", "/%2E%2e/a", "/.%2e/a",
      "/a/%2E", "/a\\b",
    ]
    for path in wrong { expectFailure(400, "GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n") }
    for path in ["/", "/a/", "/...", "/.a", "/a.", "/%2ea", "/a%2Fb", "/%61", "/a?b=//&c=/../\\"] {
      #expect(parsedHead("GET \(path) HTTP/1.1\r\nHost: h\r\n\r\n") != nil, "\(path)")
    }
  }

  @Test("refuses a header that holds one value and is repeated (RFC 9110 section 5.3)")
  func repeated() {
    for name in ["Host", "Origin", "Authorization", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Idempotency-Key"] {
      let host = name == "Host" ? "" : "Host: h\r\n"
      expectFailure(400, "GET / HTTP/1.1\r\n\(host)\(name): a\r\n\(name.lowercased()): a\r\n\r\n")
    }
  }

  @Test("finds every header that the server reads, letters in either case, and no other under its name")
  func knownHeaders() throws {
    let singles: [(SingleHeader, String)] = [
      (.host, "Host"), (.authorization, "Authorization"), (.origin, "Origin"), (.webSocketKey, "Sec-WebSocket-Key"),
      (.webSocketVersion, "Sec-WebSocket-Version"), (.idempotencyKey, "Idempotency-Key"),
      (.lastEventID, "Last-Event-ID"), (.contentType, "Content-Type"),
    ]
    let lists: [(ListHeader, String)] = [
      (.connection, "Connection"), (.upgrade, "Upgrade"), (.webSocketExtensions, "Sec-WebSocket-Extensions"),
      (.webSocketProtocol, "Sec-WebSocket-Protocol"), (.forwardedFor, "X-Forwarded-For"),
      (.forwardedProtocol, "X-Forwarded-Proto"), (.ifNoneMatch, "If-None-Match"),
      (.acceptEncoding, "Accept-Encoding"), (.expect, "Expect"), (.contentLength, "Content-Length"),
    ]
    let names = singles.map(\.1) + lists.map(\.1)
    let lines = names.map { "\($0.uppercased()): \($0 == "Content-Length" ? "7" : $0)\r\n" }
    let head = try #require(parsedHead("GET / HTTP/1.1\r\n\(lines.joined())\r\n"))
    for (header, name) in singles { #expect(head.copy(header).map { text($0) } == name, "\(name)") }
    for (header, name) in lists.dropLast() { #expect(head.list(header).map { text($0) } == name, "\(name)") }
    #expect(head.contentLength == 7)
    // Of the same length, and one letter off.
    let others = names.map { "x\($0.dropFirst()): a\r\n" }
    let other = try #require(parsedHead("GET / HTTP/1.0\r\n\(others.joined())\r\n"))
    for (header, name) in singles { #expect(other.copy(header) == nil, "\(name)") }
    for (header, name) in lists where name.first != "X" { #expect(other.list(header) == nil, "\(name)") }
  }

  @Test("joins the lines of a list, and reads cookies from all lines (RFC 9110 section 5.3, RFC 6265 section 5.4)")
  func lists() throws {
    let lines = [
      "Upgrade: h2c", "upgrade: websocket", "Cookie: a=1; b=\"x y\"; ab=3", "Cookie:  c=4 ;d=e=f;;g", "cookie: a=9; h=",
    ]
    let head = try #require(parsedHead("GET / HTTP/1.1\r\nHost: h\r\n\(lines.joined(separator: "\r\n"))\r\n\r\n"))
    #expect(head.list(.upgrade).map { text($0) } == "h2c, websocket")
    #expect(head.list(.connection) == nil)
    let cookies = ["a", "b", "c", "d", "g", "h", "i", "A"].map { name -> String? in
      let found: [UInt8]? =
        switch name {
        case "a": head.cookie("a")
        case "b": head.cookie("b")
        case "c": head.cookie("c")
        case "d": head.cookie("d")
        case "g": head.cookie("g")
        case "h": head.cookie("h")
        case "A": head.cookie("A")
        default: head.cookie("i")
        }
      return found.map { text($0) }
    }
    #expect(cookies == ["1", "x y", "4", "e=f", nil, "", nil, nil])
  }

  @Test("keeps or ends the connection as the client wants (RFC 9112 section 9.3)")
  func persistence() {
    func keeps(_ version: String, _ connection: String?) -> Bool? {
      parsedHead("GET / HTTP/\(version)\r\nHost: h\r\n\(connection.map { "Connection: \($0)\r\n" } ?? "")\r\n")?
        .keepAlive
    }
    #expect(keeps("1.1", nil) == true)
    #expect(keeps("1.1", "foo , CLOSE") == false)
    #expect(keeps("1.1", "closed") == true)
    #expect(keeps("1.0", nil) == false)
    #expect(keeps("1.0", "Keep-Alive") == true)
    #expect(keeps("1.0", "keep-alive, close") == false)
  }

  @Test("ignores empty lines before a request and reads pipelined ones (RFC 9112 section 2.2)")
  func pipeline() {
    let bytes = Array(
      ("\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi"
        + "\r\nPOST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n"
        + "GET /d HTTP/1.0\r\n\r\n").utf8)
    let expected: [Seen] = [
      .request(.get, path: "/a", headers: 1, body: ""), .request(.post, path: "/b", headers: 2, body: "hi"),
      .request(.post, path: "/c", headers: 2, body: "yes"), .request(.get, path: "/d", headers: 0, body: ""),
    ]
    #expect(read([bytes]) == expected)
    #expect(read(single(bytes)) == expected)
    for seed in 1...50 as ClosedRange<UInt64> {
      var random = SeededGenerator(seed: seed)
      #expect(read(random.cut(bytes, longest: 12)) == expected, "seed \(seed)")
    }
  }

  @Test("refuses a malformed request line with 400 (RFC 9112 section 3)")
  func requestLine() {
    let lines = [
      "GET", "GET /", "GET  / HTTP/1.1", "GET /  HTTP/1.1", " GET / HTTP/1.1", "G@T / HTTP/1.1", "GET /a b HTTP/1.1",
      "GET / HTTP/1.1 ", "GET / http/1.1", "GET / HTTP/1", "GET / HTTP/11", "GET / HTTP/1.x", "GET a HTTP/1.1",
      "GET /#a HTTP/1.1", "GET /é HTTP/1.1", "GET /%zz HTTP/1.1", "GET /%a HTTP/1.1",
      "GET http:// HTTP/1.1",
    ]
    for line in lines { expectFailure(400, "\(line)\r\nHost: h\r\n\r\n") }
  }

  @Test("refuses another major version with 505 (RFC 9110 section 15.6.6)")
  func majorVersion() {
    expectFailure(505, "GET / HTTP/2.0\r\nHost: h\r\n\r\n")
    expectFailure(505, "PRI * HTTP/2.0\r\n\r\n")
  }

  @Test("refuses malformed header lines with 400 (RFC 9112 section 5)")
  func headerLines() {
    for line in ["A : b", " A: b", "\tb", "A", ": b", "Ä: b", "A B: c"] {
      expectFailure(400, "GET / HTTP/1.1\r\nHost: h\r\n\(line)\r\n\r\n")
    }
    expectFailure(400, "GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n")
  }

  @Test("refuses controls, bare CR and bare LF on the spot (RFC 9112 section 2.2, RFC 9110 section 5.5)")
  func controls() {
    for part in ["\u{0}", "\u{1}", "\u{1B}", "\u{7F}", "\rb"] {
      expectFailure(400, "GET / HTTP/1.1\r\nHost: h\r\nA: \(part)")
    }
    expectFailure(400, "GET / HTTP/1.1\n")
    #expect(read([[0x16, 0x03, 0x01, 0x02]]) == [.failed(400)])
    #expect(
      read([Array("GET / HTTP/1.1\r\nHost: h\r\nA: \tü\r\n\r\n".utf8)]) == [
        .request(.get, path: "/", headers: 2, body: "")
      ])
  }

  @Test("wants exactly one sound Host (RFC 9112 section 3.2)")
  func host() {
    expectFailure(400, "GET / HTTP/1.1\r\n\r\n")
    expectFailure(400, "GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n")
    expectFailure(400, "GET / HTTP/1.0\r\nHost: a\r\nhost: a\r\n\r\n")
    for host in ["a b", "a/b", "u@h", "a,b", "ä"] { expectFailure(400, "GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") }
    for host in ["", "[::1]:80", "a-b.c_d:1"] { #expect(parsedHead("GET / HTTP/1.1\r\nHost: \(host)\r\n\r\n") != nil) }
  }

  @Test("refuses framing that two readers could understand differently (RFC 9112 section 6)")
  func framing() {
    func request(_ headers: String, version: String = "1.1") -> String {
      "POST / HTTP/\(version)\r\nHost: h\r\n\(headers)\r\n\r\n"
    }
    expectFailure(400, request("Content-Length: 1\r\nTransfer-Encoding: chunked"))
    expectFailure(400, request("Content-Length: 1\r\nContent-Length: 2"))
    expectFailure(400, request("Content-Length: 1, 2"))
    for value in ["", "-1", "+1", "0x1", "1 1", "1,", "１"] { expectFailure(400, request("Content-Length: \(value)")) }
    expectFailure(413, request("Content-Length: 99999999999999999999"))
    expectFailure(400, request("Transfer-Encoding: chunked", version: "1.0"))
    for value in ["gzip", "gzip, chunked", "chunked, chunked", "identity", "", "xchunked"] {
      expectFailure(501, request("Transfer-Encoding: \(value)"))
    }
    #expect(parsedHead(request("Content-Length: 5\r\nContent-Length: 5"))?.contentLength == 5)
    #expect(parsedHead(request("Transfer-Encoding: CHUNKED"))?.framing == .chunked)
  }

  @Test("holds the limits of a head to the byte (RFC 6585 section 5, RFC 9112 section 3)")
  func limits() {
    var limits = HeadLimits()
    limits.headersMax = 3
    let three = "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nB: 2\r\n"
    #expect(read([Array("\(three)\r\n".utf8)], limits: limits) == [.request(.get, path: "/", headers: 3, body: "")])
    expectFailure(431, "\(three)C: 3\r\n\r\n", limits: limits)
    limits = HeadLimits()
    limits.headBytesMax = three.utf8.count + 2
    #expect(read([Array("\(three)\r\n".utf8)], limits: limits) == [.request(.get, path: "/", headers: 3, body: "")])
    expectFailure(431, "\(three) \r\n\r\n", limits: limits)
    expectFailure(431, "GET /" + String(repeating: "a", count: 100), limits: limits)
    expectFailure(431, String(repeating: "\r\n", count: 100), limits: limits)
    limits = HeadLimits()
    limits.targetBytesMax = 5
    #expect(parsedHead("GET /1234 HTTP/1.1\r\nHost: h\r\n\r\n") != nil)
    expectFailure(431, "GET /12345 HTTP/1.1\r\nHost: h\r\n\r\n", limits: limits)
  }

  @Test("owns nothing between requests")
  func idle() {
    var parser = RequestParser()
    var cursor = 0
    let bytes = Array("GET / HTTP/1.0\r\n\r\nGE".utf8)
    let span = bytes.span
    #expect(parser.isIdle)
    guard case .request = parser.next(in: span, from: &cursor) else {
      Issue.record("no request")
      return
    }
    #expect(parser.isIdle)
    guard case .needMore = parser.next(in: span, from: &cursor) else {
      Issue.record("no end")
      return
    }
    #expect(!parser.isIdle)
  }

  @Test("never traps on mutated input, and reads it the same however cut", arguments: 1...400 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let bytes = random.mutate(
      Array(
        ("GET /a%20b?c=%41&d HTTP/1.1\r\nHost: h\r\nConnection: close, x\r\n\r\nPOST /b HTTP/1.1\r\nHost: h\r\n"
          + "Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nyes\r\n0\r\nT: 1\r\n\r\nPUT / HTTP/1.1\r\nHost: h\r\n"
          + "Content-Length: 2, 2\r\n\r\nhi").utf8))
    let whole = read([bytes])
    #expect(read(single(bytes)) == whole)
    #expect(read(random.cut(bytes, longest: 20)) == whole)
  }
}
