import ClientCore
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
    #expect(claims.signed(by: .secret(SharedSecret(secret))) == expected)
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

  @Test("names issuer, audience and key when they were asked for, and signs with a private key")
  func signedByKey() throws {
    var asked = TokenCommand.Claims()
    asked.user = "ann"
    asked.audience = "chat"
    asked.issuer = "https://id.example"
    asked.keyID = "2026"
    asked.keyPath = "/nowhere.pem"
    #expect(throws: CommandFailure.self) { try TokenCommand.token(asked, now: 0) }
    let claims = TokenClaims(user: "ann", issuedAt: 1, expiresAt: 2, audience: "chat", issuer: "https://id.example")
    // The key of RFC 8037 appendix A.1.
    let pem = """
      -----BEGIN PRIVATE KEY-----
      MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g
      -----END PRIVATE KEY-----
      """
    let token = try #require(claims.signed(by: .key(try SigningKey(pem: Array(pem.utf8))), keyID: "2026"))
    let parts = token.split(separator: ".").compactMap { Base64URL.decode(Array($0.utf8).span) }
    #expect(String(decoding: parts[0], as: UTF8.self) == #"{"alg":"EdDSA","typ":"JWT","kid":"2026"}"#)
    #expect(
      String(decoding: parts[1], as: UTF8.self)
        == #"{"sub":"ann","iat":1,"exp":2,"aud":"chat","iss":"https://id.example"}"#)
    #expect(parts[2].count == 64)
  }

  @Test("says that a public key or a certificate cannot sign", arguments: ["PUBLIC KEY", "CERTIFICATE"])
  func publicKey(_ kind: String) {
    // The public half of the key of RFC 8037 appendix A.1.
    let pem = """
      -----BEGIN \(kind)-----
      MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
      -----END \(kind)-----
      """
    let fault = #expect(throws: KeyFault.self) { try SigningKey(pem: Array(pem.utf8)) }
    #expect(fault.map { "\($0)" }?.contains("a \(kind.lowercased()), which checks tokens and cannot sign") == true)
  }

  @Test("refuses an info that a node would refuse in the token")
  func longInfo() throws {
    func status(_ count: Int) throws -> Program.Result {
      let info = " \"" + String(repeating: "x", count: count - 2) + "\" "
      return try Program.run([
        "token", "--user", "ann", "--jwt-secret", "0123456789abcdef0123456789abcdef", "--info", info,
      ])
    }
    #expect(try status(2048).status == ExitStatus.success)
    let refused = try status(2049)
    #expect(refused.status == ExitStatus.usage)
    #expect(refused.errors.contains("2049 bytes"))
  }

  @Test("counts the life of a token from now in whole seconds")
  func life() throws {
    var asked = TokenCommand.Claims()
    asked.user = "ann"
    asked.jwtSecret = "s"
    asked.ttlMilliseconds = 90_000
    let token = try TokenCommand.token(asked, now: 5_999)
    let payload = Base64URL.encode(Array(#"{"sub":"ann","iat":5,"exp":95}"#.utf8).span)
    #expect(token.split(separator: ".")[1] == String(decoding: payload, as: UTF8.self))
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
