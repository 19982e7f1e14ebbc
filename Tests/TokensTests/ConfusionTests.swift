import JSONCore
import LoopCore
import Testing

@testable import Tokens

@Suite("Tokens, what attackers try")
struct ConfusionTests {
  private let claims = #"{"sub":"ann"}"#

  private func verifier(_ keys: TokenKey...) -> TokenVerifier { TokenVerifier(keys: keys, policy: Forge.anyTime) }
  private func secret() -> TokenVerifier { verifier(TokenKey(.secret(SharedSecret(Forge.secret)))) }

  @Test("takes no unsigned token, however none is spelled (RFC 8725 section 3.1)")
  func none() throws {
    for alg in ["none", "None", "NONE", "nOnE", "", "hs256", "HS256 "] {
      let unsigned = "\(Forge.encode(#"{"alg":"\#(alg)"}"#)).\(Forge.encode(claims))."
      #expect(Forge.fault(unsigned, secret()) == .malformed("its alg is not supported"), "\(alg)")
      let signed = Forge.token(claims, header: #"{"alg":"\#(alg)"}"#)
      #expect(Forge.fault(signed, secret()) == .malformed("its alg is not supported"), "\(alg)")
    }
    for header in [#"{}"#, #"{"alg":null}"#, #"{"alg":["HS256"]}"#, #"{"ALG":"HS256"}"#] {
      #expect(Forge.fault(Forge.token(claims, header: header), secret()) != nil, "\(header)")
    }
    let empty = "\(Forge.encode(#"{"alg":"HS256"}"#)).\(Forge.encode(claims))."
    #expect(Forge.fault(empty, secret()) == .signature)
  }

  @Test("takes no public key for a secret, in any of its spellings (RFC 8725 section 2.1)")
  func publicKeyAsSecret() throws {
    let own = try PublicKey.readAll(pem: Array(Vectors.rsaPEM.utf8)).map { TokenKey(.key($0)) }
    let set = try TokenKey.readSet(Array((Vectors.rs256.set ?? "").utf8))
    let spellings = [
      Array(Vectors.rsaPEM.utf8), Array((Vectors.rsaPEM + "\n").utf8), Array(Vectors.modulus.utf8),
      try Vectors.modulusBytes(), Array((Vectors.rs256.set ?? "").utf8),
    ]
    for algorithm in [SignatureAlgorithm.hs256, .hs384, .hs512] {
      for spelling in spellings {
        let token = Forge.token(
          claims, header: #"{"alg":"\#(algorithm.rawValue)"}"#, secret: spelling, algorithm: algorithm)
        for keys in [own, set] {
          #expect(Forge.fault(token, TokenVerifier(keys: keys, policy: Forge.anyTime)) == .unknownKey)
        }
      }
    }
  }

  @Test("skips secrets in a published set, so that nobody signs with what everybody can read")
  func publishedSecret() {
    let secret = Forge.secret
    let key = String(decoding: Base64URL.encode(secret.span), as: UTF8.self)
    #expect(throws: KeyFault.self) {
      try TokenKey.readSet(Array(#"{"keys":[{"kty":"oct","k":"\#(key)"}]}"#.utf8))
    }
  }

  @Test("ignores keys that a token brings along (RFC 8725 section 3.10)")
  func embeddedKeys() throws {
    // The attacker's own key, a right signature by it, and the header that says where to find it.
    let key = try Vectors.es256.key()
    let mine = verifier(TokenKey(.secret(SharedSecret(Forge.secret))))
    let set = (Vectors.es256.set ?? "").dropFirst(9).dropLast(2)
    for extra in [#""jwk":\#(set)"#, #""jku":"http://127.0.0.1:1/keys""#, #""x5c":["AAAA"]"#, #""x5u":"http://x""#] {
      let token = Forge.token(claims, header: #"{"alg":"ES256",\#(extra)}"#)
      #expect(Forge.fault(token, mine) == .unknownKey)
      #expect(Forge.fault(token, verifier(key)) == .signature)
    }
  }

  @Test("refuses extensions that must be understood (RFC 7515 section 4.1.11)")
  func critical() {
    for crit in [#"["exp"]"#, "[]", "null", #"["b64"],"b64":false"#] {
      let token = Forge.token(claims, header: #"{"alg":"HS256","crit":\#(crit)}"#)
      #expect(Forge.fault(token, secret()) == .malformed("its header has crit, which is not supported"))
    }
  }

  @Test("tries only the key that kid names, and keys without a name when nobody bears it")
  func keyNames() {
    let other = Array("another secret, also of 32 bytes.".utf8)
    let a = TokenKey(.secret(SharedSecret(Forge.secret)), id: Array("a".utf8))
    let b = TokenKey(.secret(SharedSecret(other)), id: Array("b".utf8))
    let unnamed = TokenKey(.secret(SharedSecret(Forge.secret)))
    func token(_ kid: String) -> String { Forge.token(claims, header: #"{"alg":"HS256","kid":"\#(kid)"}"#) }
    #expect(Forge.fault(token("a"), verifier(a, b)) == nil)
    #expect(Forge.fault(token("b"), verifier(a, b)) == .signature)
    #expect(Forge.fault(token("b"), verifier(a, b, unnamed)) == .signature)
    #expect(Forge.fault(token("c"), verifier(a, b)) == .unknownKey)
    #expect(Forge.fault(token("c"), verifier(a, b, unnamed)) == nil)
    #expect(Forge.fault(token("../a"), verifier(a, b)) == .unknownKey)
    // Without a name every key is tried: the old one and the new one, while keys are being exchanged.
    #expect(Forge.fault(Forge.token(claims), verifier(b, a)) == nil)
    #expect(Forge.fault(Forge.token(claims), verifier(b)) == .signature)
    for kid in [#"7"#, #"["a"]"#, #""\#(String(repeating: "k", count: 201))""#] {
      let wrong = Forge.token(claims, header: #"{"alg":"HS256","kid":\#(kid)}"#)
      #expect(Forge.fault(wrong, verifier(a)) == .malformed("its kid is not a string of at most 200 bytes"))
    }
  }

  @Test("uses a key with the algorithm that its set names, and with no other")
  func keyAlgorithm() throws {
    let set = (Vectors.rs256.set ?? "").replacing(#""kty""#, with: #""alg":"PS256","kty""#)
    let key = try TokenKey.readSet(Array(set.utf8))[0]
    #expect(Forge.fault(Vectors.rs256.token, verifier(key)) == .unknownKey)
    #expect(key.fits(.ps256) && !key.fits(.rs256) && !key.fits(.hs256))
  }

  @Test(
    "refuses what is not a token in the compact form",
    arguments: [
      "", ".", "..", "...", "a.b", "a.b.c.d", "a.b.c", "e30.e30.e30", "=.=.=",
    ])
  func malformed(text: String) {
    guard case .malformed = Forge.fault(text, secret()) else {
      Issue.record("\(text): \(String(describing: Forge.fault(text, secret())))")
      return
    }
  }

  @Test("refuses other spellings of a good token: padding, blanks, loose bits, the other alphabet")
  func spellings() {
    let token = Forge.token(#"{"sub":"ann?>?>"}"#)
    #expect(Forge.fault(token, secret()) == nil)
    let last = token.utf8.last ?? 0
    let loose = String(decoding: token.utf8.dropLast() + [last + 1], as: UTF8.self)
    for other in [token + "=", token + " ", " " + token, token + "\n", loose, token + "."] {
      #expect(Forge.fault(other, secret()) != nil, "\(other)")
    }
    let (digits, others) = (Array("_-8".utf8), Array("/+8".utf8))
    let (right, wrong) = (Base64URL.decode(digits.span), Base64URL.decode(others.span))
    #expect(right == [0xFF, 0xEF] && wrong == nil)
  }

  @Test("refuses a token over 8 KiB unread")
  func length() {
    let token = Forge.token(#"{"sub":"ann","x":"\#(String(repeating: "x", count: 9000))"}"#)
    #expect(Forge.fault(token, secret()) == .malformed("it is longer than 8 KiB"))
  }

  @Test("tries a token without kid on a bounded number of keys")
  func manyKeys() {
    let wrong = (0..<UInt8(8)).map { TokenKey(.secret(SharedSecret([UInt8](repeating: $0, count: 32)))) }
    let right = TokenKey(.secret(SharedSecret(Forge.secret)))
    let policy = Forge.anyTime
    #expect(Forge.fault(Forge.token(claims), TokenVerifier(keys: wrong.dropLast() + [right], policy: policy)) == nil)
    #expect(Forge.fault(Forge.token(claims), TokenVerifier(keys: wrong + [right], policy: policy)) == .signature)
  }
}
