import JSONCore
import Randomness
import Testing

@testable import WebSocketCore

@Suite("Opening handshake")
struct HandshakeTests {
  /// Makes the request of RFC 6455 section 1.3, changed by `change`.
  private func request(_ change: (inout Handshake.Request) -> Void = { _ in }) -> Handshake.Request {
    var request = Handshake.Request(method: Array("GET".utf8), versionMajor: 1, versionMinor: 1)
    request.host = Array("server.example.com".utf8)
    request.upgrade = Array("websocket".utf8)
    request.connection = Array("Upgrade".utf8)
    request.key = Array("dGhlIHNhbXBsZSBub25jZQ==".utf8)
    request.version = Array("13".utf8)
    change(&request)
    return request
  }

  private func status(_ change: (inout Handshake.Request) -> Void) -> Int {
    switch Handshake.judge(request(change), deflate: true) {
    case .accepted: 101
    case .rejected(let rejection): rejection.status
    }
  }

  private func accepted(_ outcome: Handshake.Outcome) throws -> Handshake.Acceptance {
    guard case .accepted(let acceptance) = outcome else { throw Refused() }
    return acceptance
  }

  private struct Refused: Error {}

  @Test("accepts the example and answers with its accept value (RFC 6455 section 1.3)")
  func example() throws {
    let acceptance = try accepted(Handshake.judge(request(), deflate: true))
    #expect(acceptance.challenge == Array("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8))
    let digest: [UInt8] = [
      0xB3, 0x7A, 0x4F, 0x2C, 0xC0, 0x62, 0x4F, 0x16, 0x90, 0xF6, 0x46, 0x06, 0xCF, 0x38, 0x59, 0x45, 0xB2, 0xBE, 0xC4,
      0xEA,
    ]
    let accept = JSONCore.Base64.encode(digest.span)
    var out: [UInt8] = []
    Handshake.appendResponse(acceptance, accept: accept.span, to: &out)
    let expected =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    #expect(String(decoding: out, as: UTF8.self) == expected)
  }

  @Test("reads Upgrade and Connection as lists in any case (RFC 6455 section 4.2.1)")
  func lists() {
    #expect(status { $0.connection = Array("keep-alive ,\tuPGRADE".utf8) } == 101)
    #expect(status { $0.upgrade = Array("h2c, WebSocket".utf8) } == 101)
    #expect(status { $0.connection = Array("keep-alive".utf8) } == 400)
    #expect(status { $0.connection = Array("upgraded".utf8) } == 400)
    #expect(status { $0.connection = nil } == 400)
    #expect(status { $0.upgrade = Array("websockets".utf8) } == 426)
  }

  @Test("refuses a wrong method, version of HTTP or missing Host (RFC 6455 section 4.2.1)")
  func requestLine() {
    #expect(status { $0.method = Array("POST".utf8) } == 405)
    #expect(status { $0.versionMinor = 0 } == 400)
    #expect(status { $0.host = nil } == 400)
    #expect(status { $0.host = [] } == 400)
  }

  @Test("answers another version with 426 and the one it speaks (RFC 6455 section 4.4)")
  func version() throws {
    for change in [{ $0.version = Array("8".utf8) }, { $0.upgrade = nil }] as [(inout Handshake.Request) -> Void] {
      guard case .rejected(let rejection) = Handshake.judge(request(change), deflate: true) else {
        Issue.record("accepted")
        return
      }
      #expect(rejection.status == 426)
      let header = try #require(rejection.headers.first { "\($0.name)" == "Sec-WebSocket-Version" })
      #expect("\(header.value)" == "13")
    }
    #expect(status { $0.version = nil } == 400)
    #expect(status { $0.version = Array("13, 13".utf8) } == 426)
  }

  @Test("takes only a key of 16 bytes (RFC 6455 section 4.2.1)")
  func key() {
    let wrong = [
      "", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZSE=", "dGhlIHNhbXBsZSBub25j!!==",
      "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ]
    for key in wrong { #expect(status { $0.key = Array(key.utf8) } == 400) }
    #expect(status { $0.key = nil } == 400)
  }

  /// What a list of subprotocols is answered, and the token in it.
  private func subprotocols(_ offered: String) throws -> [String?] {
    let outcome = Handshake.judge(request { $0.protocols = Array(offered.utf8) }, deflate: false)
    let acceptance = try accepted(outcome)
    var out: [UInt8] = []
    Handshake.appendResponse(acceptance, accept: Span(), to: &out)
    let text = String(decoding: out, as: UTF8.self)
    let answer = acceptance.subprotocols.answer.map { String(decoding: $0, as: UTF8.self) }
    #expect(text.contains("Sec-WebSocket-Protocol") == (answer != nil))
    if let answer { #expect(text.hasSuffix("\r\nSec-WebSocket-Protocol: \(answer)\r\n\r\n")) }
    return [answer, acceptance.subprotocols.token.map { String(decoding: $0, as: UTF8.self) }]
  }

  @Test("answers the subprotocols it knows, and lets clients of others in (RFC 6455 section 4.2.2)")
  func subprotocol() throws {
    #expect(try subprotocols("roost") == ["roost", nil])
    #expect(try subprotocols("soap, roost.compact,roost") == ["roost", nil])
    #expect(try subprotocols("bearer, a.b-c_d") == ["bearer", "a.b-c_d"])
    #expect(try subprotocols("roost, bearer,\tt ") == ["roost", "t"])
    #expect(try subprotocols("bearer, t, roost") == ["bearer", "t"])
    // The element behind bearer is a token, whatever it looks like; what is no token of HTTP may be one of a service.
    #expect(try subprotocols("bearer, roost") == ["bearer", "roost"])
    #expect(try subprotocols("bearer, a/b+c==") == ["bearer", "a/b+c=="])
    #expect(try subprotocols("bearer") == ["bearer", nil])
    for other in ["graphql-ws", "roost.compact", "Roost", "a b", " ,", "", "\"roost\"", "é"] {
      #expect(try subprotocols(other) == [nil, nil], "\(other)")
    }
  }

  @Test("agrees on compression only when wanted, and fails on malformed extensions (RFC 6455 section 9.1)")
  func extensions() throws {
    let offer = request { $0.extensions = Array("permessage-deflate".utf8) }
    #expect(try accepted(Handshake.judge(offer, deflate: false)).deflate == nil)
    let acceptance = try accepted(Handshake.judge(offer, deflate: true))
    var out: [UInt8] = []
    Handshake.appendResponse(acceptance, accept: Span(), to: &out)
    let line = "\r\nSec-WebSocket-Extensions: permessage-deflate; "
    #expect(
      String(decoding: out, as: UTF8.self)
        .hasSuffix(line + "server_no_context_takeover; client_no_context_takeover\r\n\r\n"))
    #expect(status { $0.extensions = Array("permessage-deflate; =3".utf8) } == 400)
    let declined = [
      "x-webkit-deflate-frame", "permessage-deflate; server_max_window_bits=8", "permessage-bzip2", "a;b=c", "",
      "permessage-deflate; a=\"b c\"", "permessage-deflate; a=\"\"", "permessage-deflate; server_max_window_bits=99",
    ]
    for extensions in declined {
      let outcome = Handshake.judge(request { $0.extensions = Array(extensions.utf8) }, deflate: true)
      #expect(try accepted(outcome).deflate == nil, "\(extensions)")
    }
  }

  @Test("encodes Base 64 (RFC 4648 section 10)")
  func base64() {
    for (plain, coded) in [
      ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
      ("foobar", "Zm9vYmFy"),
    ] {
      #expect(JSONCore.Base64.encode(Array(plain.utf8).span) == Array(coded.utf8))
    }
    let last: [UInt8] = [0xFB, 0xFF, 0xFE]
    #expect(JSONCore.Base64.encode(last.span) == Array("+//+".utf8))
  }

  @Test("never traps on mutated headers", arguments: 1...200 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var bytes = Array("permessage-deflate; client_max_window_bits=\"1\\0\", x; a=b , permessage-deflate".utf8)
    for _ in 0..<Int.random(in: 1...4, using: &random) {
      bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
    }
    let cut = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
    let outcome = Handshake.judge(
      request {
        $0.extensions = cut; $0.protocols = cut
      }, deflate: true)
    if case .rejected(let rejection) = outcome { #expect(rejection.status == 400) }
  }
}
