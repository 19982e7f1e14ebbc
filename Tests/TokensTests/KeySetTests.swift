import LoopCore
import Testing

@testable import Tokens

@Suite("Sets of keys")
struct KeySetTests {
  private let rsa = #""kty":"RSA","n":"\#(Vectors.modulus)","e":"AQAB""#
  private let ec =
    #""kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
    + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#

  private func read(_ keys: String...) throws -> [TokenKey] {
    try TokenKey.readSet(Array(#"{"keys":[\#(keys.map { "{\($0)}" }.joined(separator: ","))],"more":1}"#.utf8))
  }

  @Test("skips keys that are for something else or that nobody here knows (RFC 7517 section 5)")
  func skipping() throws {
    let others = [
      rsa + #","use":"enc""#, rsa + #","key_ops":["encrypt"]"#, rsa + #","alg":"RSA-OAEP""#, #""kty":"XYZ""#,
      #""kty":"EC","crv":"secp256k1","x":"AA","y":"AA""#, #""kty":"OKP","crv":"X25519","x":"AA""#,
      #""kty":"oct","k":"AAAA""#, #""n":"AA""#,
    ]
    for other in others {
      #expect(try read(other, ec).count == 1, "\(other)")
      #expect(throws: KeyFault.self, "\(other)") { try read(other) }
    }
    let all = try read(rsa + #","use":"sig","kid":"r""#, ec + #","key_ops":["verify"],"alg":"ES256","kid":"e""#)
    #expect(all.map { String(decoding: $0.id ?? [], as: UTF8.self) } == ["r", "e"])
  }

  @Test("skips malformed keys and says why")
  func malformed() throws {
    let table = [
      (#""kty":"RSA","n":"AQAB","e":"AQAB""#, "bits"), (#""kty":"RSA","e":"AQAB""#, "missing"),
      (#""kty":"RSA","n":"\#(Vectors.modulus)","e":"AQ""#, "exponent"),
      (#""kty":"RSA","n":"\#(Vectors.modulus)","e":"Ag""#, "exponent"),
      (#""kty":"RSA","n":"\#(Vectors.modulus)=","e":"AQAB""#, "base64url"),
      (ec.replacing(#""x":"f8"#, with: #""x":"g8"#), "point"), (ec.replacing("5a0", with: ""), "32 bytes"),
      (#""kty":"OKP","crv":"Ed25519","x":"AAAA""#, "32 bytes"), (rsa + #","alg":"ES256""#, "kty"),
      (rsa + #","kid":7"#, "kid"),
    ]
    for (key, word) in table {
      var faults: [String] = []
      let text = #"{"keys":[{\#(key)},{\#(ec)}]}"#
      #expect(try TokenKey.readSet(Array(text.utf8)) { faults.append($0.description) }.count == 1, "\(key)")
      #expect(faults.count == 1 && faults.first?.contains(word) == true, "\(key): \(faults)")
    }
  }

  @Test("refuses what is no set, and a set without end", arguments: ["", "[]", "{}", #"{"keys":{}}"#, #"{"keys":[]}"#])
  func noSet(text: String) {
    #expect(throws: KeyFault.self) { try TokenKey.readSet(Array(text.utf8)) }
  }

  @Test("bounds the keys of a set")
  func many() {
    let keys = Array(repeating: "{\(ec)}", count: 65).joined(separator: ",")
    #expect(throws: KeyFault.self) { try TokenKey.readSet(Array(#"{"keys":[\#(keys)]}"#.utf8)) }
  }

  @Test("leaves passwords and queries of an address out of the log")
  func address() {
    #expect(KeyLocation("https://u:p@id.example:8443/keys?token=t#f").description == "https://id.example:8443/keys")
    #expect(KeyLocation("https://id.example/keys").description == "https://id.example/keys")
    #expect(KeyLocation("/etc/keys.json").description == "/etc/keys.json")
  }

  @Test("reads max-age out of Cache-Control (RFC 9111 section 5.2)")
  func maxAge() {
    #expect(KeyFetch.maxAge(inDirectives: "public, Max-Age=60, must-revalidate") == 60_000)
    #expect(KeyFetch.maxAge(inDirectives: "s-maxage=60") == nil)
    #expect(KeyFetch.maxAge(inDirectives: "max-age=99999999999999999999") == nil)
    #expect(KeyFetch.maxAge(inDirectives: "max-age=") == nil)
  }

  @Test("asks for keys again in time, sooner when the issuer wants it, and later and later when it is away")
  func plan() {
    var plan = RefreshPlan(interval: 300_000)
    #expect(plan.delayAfterSuccess(maxAge: nil) == 300_000)
    #expect(plan.delayAfterSuccess(maxAge: 60_000) == 60_000)
    #expect(plan.delayAfterSuccess(maxAge: 0) == TokenLimits.refreshMillisecondsMin)
    #expect(plan.delayAfterSuccess(maxAge: 86_400_000) == 300_000)
    #expect((0..<9).map { _ in plan.delayAfterFailure() }.prefix(4) == [2000, 4000, 8000, 16_000])
    for _ in 0..<100 { #expect(plan.delayAfterFailure() == 300_000) }
    #expect(plan.delayAfterSuccess(maxAge: nil) == 300_000)
    #expect(plan.delayAfterFailure() == 2000)
  }

  @Test("lets tokens with unknown keys start a fetch after a second, and less and less often while it brings nothing")
  func spacing() {
    var plan = RefreshPlan(interval: 300_000)
    #expect(plan.delayUntilAllowed(at: 0) == 0)
    // Somebody invents keys for five minutes.
    var (now, starts): (UInt64, [UInt64]) = (5000, [])
    plan.begin(at: now)
    while now < 305_000 {
      now += plan.delayUntilAllowed(at: now)
      #expect(plan.delayUntilAllowed(at: now) == 0)
      plan.begin(at: now)
      plan.end(hasNewKeys: false)
      starts.append(now - 5000)
    }
    #expect(starts.prefix(6) == [1000, 3000, 7000, 15_000, 25_000, 35_000])
    #expect(starts.count <= 34)
    // A new key, or a quiet minute: the next token need not wait for what others did.
    plan.end(hasNewKeys: true)
    #expect(plan.delayUntilAllowed(at: now) == 1000)
    plan.end(hasNewKeys: false)
    #expect(plan.delayUntilAllowed(at: now + 59_999) == 0)
    plan.begin(at: now + 60_000)
    #expect(plan.delayUntilAllowed(at: now + 60_000) == 1000)
  }
}
