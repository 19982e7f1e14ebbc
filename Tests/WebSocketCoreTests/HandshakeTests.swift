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

  @Test("chooses the first subprotocol it speaks (RFC 6455 section 4.2.2)")
  func subprotocol() throws {
    let outcome = Handshake.judge(
      request { $0.protocols = Array("soap, chat,superchat".utf8) }, deflate: false,
      subprotocols: [Array("superchat".utf8), Array("chat".utf8)])
    let accept: [UInt8] = [0x41]
    var out: [UInt8] = []
    Handshake.appendResponse(try accepted(outcome), accept: accept.span, to: &out)
    #expect(String(decoding: out, as: UTF8.self).hasSuffix("Accept: A\r\nSec-WebSocket-Protocol: chat\r\n\r\n"))
    #expect(status { $0.protocols = Array("a b".utf8) } == 400)
    #expect(status { $0.protocols = Array(" ,".utf8) } == 400)
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
