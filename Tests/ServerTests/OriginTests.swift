import TestSupport
import Testing

@Suite("One node, pages of other sites")
struct OriginTests {
  private func handshake(_ server: RoostProcess, _ headers: [String]) throws -> HTTPAnswer {
    try server.http.get("/ws?user=ann", headers: WebSocketClient.handshakeHeaders() + headers)
  }

  private static let list = [
    "https://*.example.com", "https://a.example:443", "http://b.example:80", "capacitor://localhost",
    "http://[0:0:0:0:0:0:0:1]:3000", "HTTPS://Chat.Example.net",
  ]

  @Test("lets in what its list names in whatever form, with CORS headers, and nothing else")
  func forms() throws {
    let server = try RoostProcess(["--origins", OriginTests.list.joined(separator: ",")])
    for origin in [
      "https://x.example.com", "https://a.example", "http://b.example", "capacitor://localhost", "http://[::1]:3000",
      "https://chat.example.net",
    ] {
      let answer = try handshake(server, ["Origin: \(origin)"])
      #expect(answer.status == 101, "\(origin): \(answer)")
      let page = try server.http.get("/healthz", headers: ["Origin: \(origin)"])
      #expect(page.header("access-control-allow-origin") == origin, "\(origin): \(page)")
      #expect(page.header("vary") == "Origin")
    }
    for origin in ["https://example.com", "http://x.example.com", "http://a.example", "null", "ionic://localhost", "x"]
    {
      let answer = try handshake(server, ["Origin: \(origin)"])
      #expect(answer.status == 403, "\(origin): \(answer)")
      #expect(answer.header("access-control-allow-origin") == nil)
    }
  }

  @Test("lets in every page by a star, but none of another site with a cookie, and promises none that it may use one")
  func everyPage() throws {
    let server = try RoostProcess(["--origins", "*"])
    let page = "Origin: https://any.example"
    let answer = try server.http.get("/poll?room=r&user=ann", headers: [page])
    #expect(answer.status == 200 && answer.header("access-control-allow-origin") == "https://any.example", "\(answer)")
    #expect(answer.header("access-control-allow-credentials") == nil)
    #expect(try handshake(server, [page]).status == 101)
    #expect(try handshake(server, [page, "Cookie: roost_token=x"]).status == 403)
  }

  @Test("refuses what a page of another site fetches with the visitor's cookie as an image, and follows its links")
  func images() throws {
    let server = try RoostProcess()
    func status(_ headers: [String]) throws -> Int { try server.http.get("/poll?room=r", headers: headers).status }
    let (cookie, other) = ("Cookie: roost_token=x", "Sec-Fetch-Site: cross-site")
    #expect(try status([cookie, other, "Sec-Fetch-Mode: no-cors"]) == 403)
    #expect(try status([cookie, other]) == 403)
    #expect(try status([cookie, other, "Sec-Fetch-Mode: navigate"]) == 200)
    #expect(try status([cookie, "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors"]) == 200)
    #expect(try status([other, "Sec-Fetch-Mode: no-cors"]) == 200)
  }

  @Test("counts refused pages and says once which Origin it was, as harmless text")
  func counted() throws {
    let server = try RoostProcess(["--origins", "https://chat.example"])
    for _ in 0..<3 { #expect(try handshake(server, ["Origin: https://evil.example\tü\"x"]).status == 403) }
    #expect(try server.metric(#"roost_limit_refusals_total{limit="origins"}"#) == 3)
    let line = try server.process.line(with: #""limit":"origins""#)
    #expect(line.contains("https://evil.example???"), "\(line)")
    #expect(line.contains("--origins"))
    for _ in 0..<3 { #expect(try handshake(server, ["Origin: https://evil.example"]).status == 403) }
    #expect(server.process.output.split(separator: "\n").count { $0.contains(#""limit":"origins""#) } == 1)
  }

  @Test("always lets in its own pages, whose Origin is the Host, and under TLS only those that came by TLS")
  func own() throws {
    let server = try RoostProcess(["--origins", "https://elsewhere.example"])
    func status(_ host: String, _ headers: [String]) throws -> Int {
      let lines = ["GET /ws?user=ann HTTP/1.1", "Host: \(host)"] + WebSocketClient.handshakeHeaders() + headers
      return try server.http.raw(lines.joined(separator: "\r\n") + "\r\n\r\n").status
    }
    let secure = "X-Forwarded-Proto: https"
    #expect(try status("chat.example:8080", ["Origin: http://chat.example:8080"]) == 101)
    #expect(try status("chat.example", ["Origin: http://chat.example"]) == 101)
    #expect(try status("chat.example:80", ["Origin: http://CHAT.example"]) == 101)
    #expect(try status("chat.example", ["Origin: https://chat.example", secure]) == 101)
    #expect(try status("chat.example", ["Origin: https://chat.example"]) == 101)
    #expect(try status("[::1]:8080", ["Origin: http://[::1]:8080"]) == 101)
    #expect(try status("chat.example", ["Origin: http://chat.example", secure]) == 403)
    #expect(try status("chat.example:8080", ["Origin: http://chat.example"]) == 403)
    #expect(try status("chat.example", ["Origin: https://chat.example.evil"]) == 403)
    #expect(try status("chat.example", ["Origin: null"]) == 403)
    // The target's own host counts, whatever Host says (RFC 9112 section 3.2.2).
    let text = "GET http://chat.example/healthz HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://evil.example\r\n\r\n"
    #expect(try server.http.raw(text).status == 403)
  }

  @Test("does not start with an entry that no page can match, and says why")
  func never() throws {
    for (entry, why) in [
      ("https://example.com/", "slash"), ("wss://example.com", "https://"),
      ("https://a.*.example", "star"), ("https://bücher.example", "xn--"), ("http://[::1", "no origin"),
    ] {
      let result = try RoostProcess.run(["serve", "--port", "0", "--origins", "https://ok.example,\(entry)"])
      #expect(result.end == .exited(64), "\(entry): \(result)")
      #expect(result.output.contains("--origins") && result.output.contains(why), "\(entry): \(result.output)")
    }
  }
}
