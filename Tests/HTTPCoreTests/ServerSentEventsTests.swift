import Testing

@testable import HTTPCore

@Suite("Encoding event streams")
struct ServerSentEventsTests {
  private func event(_ data: String, id: String? = nil, event: StaticString? = nil) -> String {
    var out: [UInt8] = []
    let bytes = Array(data.utf8)
    ServerSentEvents.appendEvent(id: id.map { Array($0.utf8) }, event: event, data: bytes.span, to: &out)
    return text(out)
  }

  @Test("writes id, event and data (WHATWG HTML section 9.2.6)")
  func fields() {
    #expect(event("{}") == "data: {}\n\n")
    #expect(event("{}", id: "e:7", event: "joined") == "id: e:7\nevent: joined\ndata: {}\n\n")
    #expect(event("") == "data: \n\n")
    #expect(event(" a") == "data:  a\n\n")
  }

  @Test("splits data at line ends of any kind (WHATWG HTML section 9.2.5)")
  func lines() {
    #expect(event("a\nb") == "data: a\ndata: b\n\n")
    #expect(event("a\n\nb") == "data: a\ndata: \ndata: b\n\n")
    #expect(event("a\r\nb\rc") == "data: a\ndata: b\ndata: c\n\n")
    #expect(event("\n\r") == "data: \ndata: \ndata: \n\n")
    #expect(event("a\r") == "data: a\ndata: \n\n")
  }

  @Test("keeps line ends and NUL out of ids (WHATWG HTML section 9.2.6)")
  func id() { #expect(event("x", id: "a\r\n\u{0}b") == "id: ab\ndata: x\n\n") }

  @Test("writes comments, which begin with a colon")
  func comment() {
    var out: [UInt8] = []
    ServerSentEvents.appendComment(to: &out)
    ServerSentEvents.appendComment("a\nb", to: &out)
    #expect(text(out) == ": \n\n: a\n: b\n\n")
  }
}
