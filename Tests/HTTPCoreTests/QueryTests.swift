import Randomness
import Testing

@testable import HTTPCore

@Suite("Queries and escapes")
struct QueryTests {
  private func items(_ query: String) -> [String] {
    let bytes = Array(query.utf8)
    return Query(bytes.span).items.map { "\(text($0.name))=\(text($0.value))" }
  }

  @Test("decodes names and values in order (RFC 3986 section 3.4)")
  func decodes() {
    #expect(items("") == [])
    #expect(items("a=b&a=c") == ["a=b", "a=c"])
    #expect(items("&a&&b=&=c&d=e=f&") == ["a=", "b=", "=c", "d=e=f"])
    #expect(items("a+b=%2B+%26&%3D=1") == ["a b=+ &", "==1"])
    #expect(items("n=%C3%BC%00") == ["n=ü\u{0}"])
  }

  @Test("keeps a % that begins no escape, as browsers do (WHATWG URL section 1.3)")
  func bare() {
    #expect(items("utm=50%off") == ["utm=50%off"])
    #expect(items("%&a=%&b=%4&c=%g1&%1=%41") == ["%=", "a=%", "b=%4", "c=%g1", "%1=A"])
    #expect(items("a=%%41%") == ["a=%A%"])
    #expect(PercentCoding.decode(Array("/100%".utf8).span) == nil)
  }

  @Test("encodes what decodes to the same bytes (RFC 3986 section 2.1)")
  func encodes() {
    let all = (0...255).map { UInt8($0) }
    let encoded = PercentCoding.encode(all.span)
    #expect(PercentCoding.decode(encoded.span) == all)
    #expect(PercentCoding.decodeLeniently(encoded.span) == all)
    let room = Array("a/b c~é".utf8)
    #expect(text(PercentCoding.encode(room.span)) == "a%2Fb%20c~%C3%A9")
  }

  @Test("never traps on mutated escapes", arguments: 1...100 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    let bytes = random.mutate(Array("a=%41%42&b=%2F+%zz&%".utf8))
    let prefix = Array(bytes.prefix(Int.random(in: 0...bytes.count, using: &random)))
    #expect(Query(prefix.span).items.count <= 4 + bytes.count / 2)
  }
}
