import Compression
import Testing

@Suite("permessage-deflate payloads")
struct CompressionTests {
  private func text(_ count: Int) -> [UInt8] { (0..<count).map { UInt8(ascii: "a") + UInt8($0 % 7) } }

  // The expectation macros take no spans, so these lend them.
  private func deflate(_ message: [UInt8], windowBits: Int32 = 15) -> [UInt8]? {
    MessageDeflater(windowBits: windowBits).deflate(message.span)
  }

  private func inflate(_ payload: [UInt8], bytesMax: Int, by inflater: MessageInflater) throws -> [UInt8] {
    try inflater.inflate(payload.span, bytesMax: bytesMax)
  }

  @Test("inflates what was deflated, with every window (RFC 7692 section 7.2)", arguments: 9...15 as ClosedRange<Int32>)
  func roundTrip(windowBits: Int32) throws {
    let (deflater, inflater) = (MessageDeflater(windowBits: windowBits), MessageInflater())
    // Several, because no message may depend on the one before.
    for count in [256, 1000, 70_000, 256] {
      let message = text(count)
      let made = deflater.deflate(message.span)
      let small = try #require(made)
      #expect(small.count < message.count)
      #expect(try inflate(small, bytesMax: count, by: inflater) == message)
    }
  }

  @Test("leaves what would not become shorter as it is")
  func incompressible() {
    #expect(deflate((0..<300).map { _ in UInt8.random(in: 0...255) }) == nil)
  }

  @Test("stops a bomb at the limit, and reads the next message all the same")
  func bomb() throws {
    let small = try #require(deflate([UInt8](repeating: 0, count: 50_000_000)))
    #expect(small.count < 300_000)
    let inflater = MessageInflater()
    #expect(throws: MessageInflater.Failure.tooLarge) { try inflate(small, bytesMax: 65_536, by: inflater) }
    let message = text(500)
    let next = try #require(deflate(message))
    #expect(try inflate(next, bytesMax: 500, by: inflater) == message)
    #expect(throws: MessageInflater.Failure.tooLarge) { try inflate(next, bytesMax: 499, by: inflater) }
  }

  @Test("refuses what is no deflate stream")
  func corrupt() {
    #expect(throws: MessageInflater.Failure.corrupt) {
      try inflate([0xFF, 0xFF, 0xFF, 0xFF, 0x12], bytesMax: 1000, by: MessageInflater())
    }
  }
}
