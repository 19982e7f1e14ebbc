import Randomness
import Testing

@testable import WebSocketCore

@Suite("Reading messages")
struct MessageReaderTests {
  @Test("reads the masked and unmasked Hello (RFC 6455 section 5.7)")
  func examples() {
    let masked: [UInt8] = [0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58]
    #expect(read([masked]) == [.message(.text, compressed: false, Array("Hello".utf8))])
    let client = MessageReader(role: .client, messageBytesMax: 100, deflate: false)
    let unmasked: [UInt8] = [0x81, 0x05, 0x48, 0x65, 0x6C, 0x6C, 0x6F]
    #expect(read([unmasked], client) == [.message(.text, compressed: false, Array("Hello".utf8))])
  }

  @Test("reads every length form at its borders, whole and byte by byte (RFC 6455 section 5.2)")
  func lengths() {
    for count in [0, 1, 3, 4, 5, 63, 64, 65, 125, 126, 127, 65535, 65536, 70001] {
      let payload = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      let expected: [Seen] = [.message(.binary, compressed: false, payload)]
      #expect(read([frame(0x2, payload)]) == expected)
      #expect(read(single(frame(0x2, payload))) == expected)
    }
  }

  @Test("delivers a message that came whole in place and a cut one from its own memory")
  func inPlace() {
    var reader = server()
    var inPlace = 0
    let hello = frame(0x1, Array("Hello".utf8))
    let message = Seen.message(.text, compressed: false, Array("Hello".utf8))
    #expect(read(hello + hello + hello.prefix(8), &reader, inPlace: &inPlace) == [message, message])
    #expect(inPlace == 2)
    #expect(read(Array(hello.dropFirst(8)), &reader, inPlace: &inPlace) == [message])
    #expect(inPlace == 2)
    // A header cut from its payload costs no copy either.
    #expect(read(Array(hello.prefix(6)), &reader, inPlace: &inPlace).isEmpty)
    #expect(read(Array(hello.dropFirst(6)), &reader, inPlace: &inPlace) == [message])
    #expect(inPlace == 3)
  }

  @Test("takes at most 64 bytes of a connection's record")
  func size() { #expect(MemoryLayout<MessageReader>.stride <= 64) }

  @Test("joins fragments around control frames (RFC 6455 section 5.4)")
  func fragments() {
    let bytes =
      frame(0x1, [0x48], fin: false) + frame(0x9, [1, 2]) + frame(0x0, [], fin: false) + frame(0xA, [3])
      + frame(0x0, [0x69]) + frame(0x2, [9])
    let expected: [Seen] = [
      .ping([1, 2]), .pong([3]), .message(.text, compressed: false, [0x48, 0x69]),
      .message(.binary, compressed: false, [9]),
    ]
    #expect(read([bytes]) == expected)
    #expect(read(single(bytes)) == expected)
  }

  @Test("reads 65,536 fragments")
  func manyFragments() {
    var bytes = frame(0x2, [7], fin: false)
    for _ in 1..<65535 { bytes += frame(0x0, [7], fin: false) }
    bytes += frame(0x0, [7])
    let expected: [Seen] = [.message(.binary, compressed: false, [UInt8](repeating: 7, count: 65536))]
    #expect(read([bytes]) == expected)
    #expect(read(single(bytes)) == expected)
  }

  @Test("marks compressed messages by the RSV1 of their first frame (RFC 7692 section 6)")
  func compressed() {
    let bytes = frame(0x1, [0xFF], fin: false, rsv: 4) + frame(0x0, [0xFE]) + frame(0x1, [0x41])
    let expected: [Seen] = [
      .message(.text, compressed: true, [0xFF, 0xFE]), .message(.text, compressed: false, [0x41]),
    ]
    #expect(read(single(bytes), server(deflate: true)) == expected)
  }

  @Test(
    "gives the same events however the input is cut", arguments: [1, 2, 3, 4, 5, 6, 7, 8] as [UInt64])
  func cuts(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var bytes: [UInt8] = []
    for _ in 0..<60 {
      let payload = random.bytes(Int.random(in: 0...400, using: &random))
      let split = Int.random(in: 0...payload.count, using: &random)
      bytes += frame(0x2, Array(payload[..<split]), fin: false, key: random.bytes(4))
      if Bool.random(using: &random) { bytes += frame(0x9, random.bytes(split % 126), key: random.bytes(4)) }
      bytes += frame(0x0, Array(payload[split...]), key: random.bytes(4))
      bytes += frame(0x1, Array("grüß dich, 世界 🎈".utf8), key: random.bytes(4))
    }
    bytes += close(1000, Array("añb".utf8))
    let whole = read([bytes])
    #expect(whole.last == .close(1000, Array("añb".utf8)))
    for longest in [1, 2, 7, 50, 1000] { #expect(read(random.cut(bytes, longest: longest)) == whole) }
  }

  @Test("never traps on mutated input and ends for good when it fails", arguments: 1...300 as ClosedRange<UInt64>)
  func mutations(seed: UInt64) {
    var random = SeededGenerator(seed: seed)
    var bytes = frame(0x1, Array("grüß".utf8), fin: false) + frame(0x9, [1, 2, 3]) + frame(0x0, Array("dich".utf8))
    bytes += frame(0x2, random.bytes(300), rsv: 4) + close(1001, Array("so".utf8)) + frame(0x1, [0x41])
    for _ in 0..<Int.random(in: 1...6, using: &random) {
      bytes[Int.random(in: 0..<bytes.count, using: &random)] = UInt8.random(in: 0...255, using: &random)
    }
    let reader = server(max: 1000, deflate: true)
    let seen = read([bytes], reader)
    #expect(read(random.cut(bytes, longest: 5), reader) == seen)
    for (index, event) in seen.enumerated() {
      switch event {
      case .failed, .close: #expect(index == seen.count - 1)
      default: break
      }
    }
  }
}
