import JSONCore
import LoopCore
import Testing

@testable import Commands

@Suite struct TokenTests {
  private let secret = Array("0123456789abcdef0123456789abcdef".utf8)

  @Test("signs the bytes that stand before the last dot with HMAC-SHA256 (RFC 7515 section 5.1)")
  func signature() {
    let claims = TokenClaims(user: "ann", issuedAt: 1_700_000_000, expiresAt: 1_700_003_600)
    // Made with OpenSSL's command line: openssl dgst -sha256 -hmac SECRET -binary | basenc --base64url.
    let expected =
      "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"
      + ".eyJzdWIiOiJhbm4iLCJpYXQiOjE3MDAwMDAwMDAsImV4cCI6MTcwMDAwMzYwMH0"
      + ".j8LpT15_IE2o3pGONsyAqa-sIcqEZqbCLVmf5gE-rCE"
    #expect(claims.signed(with: secret) == expected)
  }

  @Test("writes the claims that were asked for, and no others (RFC 7519 section 4)")
  func claims() {
    let all = TokenClaims(
      user: "a\"b", issuedAt: 1, expiresAt: 2, rooms: ["chat:*", "r:news:*"], permissions: ["broadcast"],
      info: Array(#"{"n":1}"#.utf8))
    let expected =
      #"{"sub":"a\"b","iat":1,"exp":2,"rooms":["chat:*","r:news:*"],"permissions":["broadcast"],"info":{"n":1}}"#
    #expect(String(decoding: all.json, as: UTF8.self) == expected)
  }

  @Test("uses the alphabet for URLs without padding (RFC 4648 section 5)")
  func alphabet() {
    #expect(TokenClaims.base64URL([0xFB, 0xFF, 0xFE]) == "-__-")
    #expect(TokenClaims.base64URL([0]) == "AA")
  }

  @Test("counts the life of a token from now in whole seconds")
  func life() throws {
    var asked = TokenCommand.Claims()
    asked.user = "ann"
    asked.jwtSecret = "s"
    asked.ttlMilliseconds = 90_000
    let token = try TokenCommand.token(asked, now: 5_999)
    let payload = TokenClaims.base64URL(Array(#"{"sub":"ann","iat":5,"exp":95}"#.utf8))
    #expect(token.split(separator: ".")[1] == payload)
  }

  @Test("names the flag when user or secret is missing")
  func missing() {
    var asked = TokenCommand.Claims()
    #expect(throws: CommandFailure.self) { try TokenCommand.token(asked, now: 0) }
    asked.user = "ann"
    do {
      _ = try TokenCommand.token(asked, now: 0)
      Issue.record("a token without a secret")
    } catch {
      #expect(error.status == ExitStatus.usage)
      #expect(error.message.contains("--jwt-secret"))
    }
  }
}
