import Testing

@testable import Webhooks

@Suite("Signatures of webhooks")
struct SignatureTests {
  @Test("signs seconds, a dot and the body with HMAC-SHA256 (RFC 4231 gives the function's vectors)")
  func vectors() {
    // printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
    let body = Array(#"{"a":1}"#.utf8)
    let value = WebhookSignature.value(of: body, seconds: 1_700_000_000, secret: Array("secret".utf8))
    #expect(value == "t=1700000000,v1=49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686")
    let empty = WebhookSignature.value(of: [], seconds: 0, secret: Array("key".utf8))
    #expect(empty == "t=0,v1=85841b4efc3cd7776c3c8f9b7cca9e281c550e5d19889d78e9e669c6337f000d")
  }

  @Test("writes headers in one line each, whatever bytes their values have")
  func headerLines() {
    func line(_ name: String, _ value: String) -> String {
      String(decoding: WebhookClient.line(Array(name.utf8), Array(value.utf8)), as: UTF8.self)
    }
    #expect(line("Cookie", "a=b") == "Cookie: a=b")
    #expect(line("Cookie", "a\r\nX-Evil: 1") == "Cookie: aX-Evil: 1")
    #expect(line("Cookie", "a\0b") == "Cookie: ab")
    // libcurl removes a header whose line ends with its colon.
    #expect(line("Cookie", "") == "Cookie;")
  }
}
