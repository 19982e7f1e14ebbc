import JSONCore
import TestSupport
import Testing

@testable import Server
@testable import Settings

@Suite("Signatures of incoming hooks")
struct HookVerifierTests {
  private static let secret = "a-secret-of-the-hook-tests"
  private static let other = "another-secret-of-the-tests"
  private let now: UInt64 = 1_700_000_000

  private func verifier(_ scheme: IncomingHookScheme, _ secrets: [String] = [secret]) -> HookVerifier {
    HookVerifier(scheme, secrets: secrets.map { Array($0.utf8) })
  }

  private func check(_ verifier: HookVerifier, _ header: String?, _ body: String) -> HookVerifier.Failure? {
    verifier.check(header.map { Array($0.utf8) }, of: Array(body.utf8), now: now)
  }

  @Test("takes the example of GitHub's documentation, and nothing that differs from it by a bit")
  func gitHub() {
    // docs.github.com, "Validating webhook deliveries", "Testing the webhook payload validation".
    let documented = verifier(.github, ["It's a Secret to Everybody"])
    let digits = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    #expect(check(documented, "sha256=" + digits, "Hello, World!") == nil)
    #expect(check(documented, "sha256=" + digits.uppercased(), "Hello, World!") == nil)
    #expect(check(documented, "sha256=" + digits, "Hello, World") == .wrong)
    #expect(check(documented, "sha256=" + digits.dropLast() + "6", "Hello, World!") == .wrong)
    #expect(check(verifier(.github), "sha256=" + digits, "Hello, World!") == .wrong)
    #expect(check(documented, nil, "Hello, World!") == .missing)
    let malformed = [
      "", "sha256=", digits, "sha1=" + digits, "sha256=" + digits.dropLast(), "sha256=\(digits)0",
      "sha256=" + digits.dropLast() + "g", "SHA256=" + digits, "sha256= " + digits.dropLast(),
    ]
    for header in malformed { #expect(check(documented, header, "Hello, World!") == .malformed, "\(header)") }
  }

  @Test(
    "takes what OpenSSL signs by Stripe's scheme, with any of several signatures",
    arguments: [
      IncomingHookScheme.stripe, .roost,
    ])
  func stamped(_ scheme: IncomingHookScheme) throws {
    let body = #"{"id":"evt_1","type":"charge.succeeded"}"#
    func signature(_ time: UInt64, _ secret: String = HookVerifierTests.secret) throws -> String {
      try OpenSSL.hmac("\(time).\(body)", secret: secret)
    }
    let verifier = verifier(scheme)
    let (right, wrong) = (try signature(now), try signature(now, Self.other))
    let taken = [
      "t=\(now),v1=\(right)", "t=\(now), v1=\(right)", "v1=\(right),t=\(now)", "t=\(now),v1=\(wrong),v1=\(right)",
      "t=\(now),v1=\(right),v1=\(wrong)", "t=\(now),v0=\(wrong),v1=\(right),v2=x",
    ]
    for header in taken { #expect(check(verifier, header, body) == nil, "\(header)") }
    // What a recorder could change: the time, the body, the signature's version.
    #expect(check(verifier, "t=\(now + 1),v1=\(right)", body) == .wrong)
    #expect(check(verifier, "t=\(now),v1=\(right)", body + " ") == .wrong)
    #expect(check(verifier, "t=\(now),v1=\(wrong)", body) == .wrong)
    for skew in [UInt64(300), 301] {
      for time in [now - skew, now + skew] {
        let header = "t=\(time),v1=\(try signature(time))"
        #expect(check(verifier, header, body) == (skew > 300 ? .stale : nil), "\(header)")
      }
    }
    let many = Array(repeating: "v1=\(right)", count: 9).joined(separator: ",")
    let malformed = [
      "", "t=\(now)", "v1=\(right)", "t=,v1=\(right)", "t=x,v1=\(right)", "t=-1,v1=\(right)", "t=\(now),v0=\(right)",
      "t=\(now),t=\(now),v1=\(right)", "t=\(now),v1=\(right.dropLast())", "t=\(now),v1", "t=\(now),\(many)",
      "t=1\(String(repeating: "0", count: 20)),v1=\(right)", "sha256=\(right)",
      "t=\(now),v1=\(right),x=" + String(repeating: "y", count: 1024),
    ]
    for header in malformed { #expect(check(verifier, header, body) == .malformed, "\(header)") }
    // The header that Stripe's documentation shows is read; its secret is not public.
    let documented =
      "t=1492774577,v1=5257a869e7ecebeda32affa62cdca3fa51cad7e77a0e56ff536d0ce8e108d8bd,"
      + "v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39"
    #expect(check(verifier, documented, body) == .stale)
  }

  @Test("takes the signature of any secret of a list")
  func severalSecrets() throws {
    let both = verifier(.github, [Self.other, Self.secret])
    for secret in [Self.secret, Self.other] {
      #expect(check(both, "sha256=" + (try OpenSSL.hmac("{}", secret: secret)), "{}") == nil)
    }
    #expect(check(both, "sha256=" + (try OpenSSL.hmac("{}", secret: "a third secret of the tests")), "{}") == .wrong)
  }

  @Test("leaves out white space between tokens, and none in strings")
  func compact() throws {
    let cases = [
      ("{ }", "{}"), ("{\r\n\t\"a\" : [ 1 , \"x y\\\" z\\\\\" ] }\n", "{\"a\":[1,\"x y\\\" z\\\\\"]}"),
      (#"{"a":"\\","b" :1}"#, #"{"a":"\\","b":1}"#), (#"{"é ü": "  "}"#, #"{"é ü":"  "}"#),
    ]
    for (given, expected) in cases {
      let text = HookDelivery.compact(Array(given.utf8))
      #expect(String(decoding: text, as: UTF8.self) == expected)
      #expect(try JSONValue.parse(text.span) == JSONValue.parse(Array(given.utf8).span))
    }
  }
}
