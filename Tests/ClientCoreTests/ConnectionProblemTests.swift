import HTTPCore
import Testing

@testable import ClientCore

@Suite("What went wrong with a connection")
struct ConnectionProblemTests {
  private static let problems: [(ConnectionProblem, Int32, String)] = [
    (.unknownHost, 69, "the host name h is unknown; check its spelling"),
    (.unreachable("Connection refused"), 69, "Connection refused; start a node there"),
    (.silent(milliseconds: 5000), 69, "no answer within 5000 ms; check host, port and firewall"),
    (.closed, 76, "if it serves TLS, give https://h:1"),
    (.notHTTP("malformed"), 76, "if it serves TLS, give https://h:1"),
    (.noTLS("wrong version number"), 76, "does not speak TLS"),
    (.untrusted("self-signed certificate"), 76, "SSL_CERT_FILE"),
    (.answered(status: 308, location: "https://h/ws"), 76, "redirects to https://h/ws"),
    (.answered(status: 401), 77, "give a token by --token"),
    (.answered(status: 403), 77, "give a token by --token"),
    (.answered(status: 404), 76, "give the address of a node by --url"),
    (.answered(status: 200), 76, "not as a Roost node does"),
    (.answered(status: 429), 69, "try again later"),
    (.answered(status: 503), 69, "try again later"),
    (.answered(status: 400, words: "this port speaks TLS"), 76, "400, this port speaks TLS, not as"),
    (.answered(status: 400), 76, "if it serves TLS, give https://h:1"),
    (.failed(0), 76, "closed the connection"),
    (.brokenHandshake, 76, "a proxy may have changed"),
  ]

  @Test("names the address that was tried and the next step, with one status for each kind", arguments: 0..<18)
  func messages(_ index: Int) throws {
    let (problem, status, text) = Self.problems[index]
    let url = try ServerURL(parsing: "ws://h:1/ws")
    let failure = problem.failure(url, tried: url.webSocketText("/ws"))
    #expect(failure.status == status)
    #expect(failure.message.contains("ws://h:1/ws"), "\(failure.message)")
    #expect(failure.message.contains(text), "\(failure.message)")
    #expect(!failure.message.contains("\n"))
  }

  @Test("offers plain HTTP when TLS is not spoken, and no TLS to those who use it")
  func secure() throws {
    let url = try ServerURL(parsing: "wss://h:1")
    #expect(ConnectionProblem.noTLS("x").failure(url, tried: "wss://h:1/ws").message.contains("http://h:1"))
    #expect(!ConnectionProblem.closed.failure(url, tried: "wss://h:1/ws").message.contains("if it serves TLS"))
  }

  @Test("judges the answer to a handshake (RFC 6455 section 4.1)")
  func handshake() throws {
    let url = try ServerURL(parsing: "ws://h:1")
    // The key and the answer of RFC 6455 section 1.3.
    let nonce = Array("the sample nonce".utf8)
    let handshake = ClientHandshake(url, path: "/ws", nonce: nonce)
    let request = String(decoding: handshake.request(target: "/ws?user=a", token: "t"), as: UTF8.self)
    #expect(request.hasPrefix("GET /ws?user=a HTTP/1.1\r\nHost: h:1\r\n"))
    #expect(request.contains("Authorization: Bearer t\r\n") && !request.contains("Extensions"))
    let good = [
      "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
    ]
    #expect(handshake.problem(try response(good)) == nil)
    #expect(handshake.problem(try response(good.dropLast())) == .brokenHandshake)
    #expect(handshake.problem(try response(good + ["Sec-WebSocket-Protocol: x"])) == .brokenHandshake)
    #expect(handshake.problem(try response(good + ["Sec-WebSocket-Extensions: x"])) == .brokenHandshake)
    let deflating = ClientHandshake(url, path: "/ws", nonce: nonce, offer: .deflate)
    let agreed = try response(good + ["Sec-WebSocket-Extensions: permessage-deflate"])
    #expect(deflating.problem(agreed) == nil)
    #expect(ClientHandshake.agreesToDeflate(agreed))
    #expect(!ClientHandshake.agreesToDeflate(try response(good)))
    let moved = try response(["HTTP/1.1 308 Moved", "Location: https://h/", "Content-Length: 0"])
    #expect(handshake.problem(moved) == .answered(status: 308, location: "https://h/"))
    let words = #"{"error":{"code":"unavailable","message":"this node is draining"}}"#
    let draining = try response(["HTTP/1.1 503 No", "Content-Length: \(words.utf8.count)"], words)
    #expect(handshake.problem(draining) == .answered(status: 503, words: "this node is draining"))
    #expect(handshake.problem(try response(["HTTP/1.1 503 No", "Content-Length: 0"]))?.isPassing == true)
  }

  private func response(_ lines: [String], _ body: String = "") throws -> ReceivedResponse {
    var parser = ResponseParser(bodyBytesMax: 100)
    let bytes = Array((lines.joined(separator: "\r\n") + "\r\n\r\n" + body).utf8)
    var cursor = 0
    guard case .response(let response) = parser.next(in: bytes.span, from: &cursor) else {
      throw CommandFailure(1, "no response: \(lines)")
    }
    return response
  }
}
