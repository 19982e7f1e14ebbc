import Randomness
import TestSupport
import Testing
import WebSocketCore

@Suite("One node, hostile peers")
struct HostileTests {
  private static let good = [
    #"{"type":"join","room":"r","id":"1"}"#,
    #"{"type":"message","room":"r","id":"2","echo":true,"a":[1,{"b":"\u00e9"}]}"#,
    #"{"type":"history","room":"r","limit":5,"since":{"epoch":"a1","offset":3}}"#, #"{"type":"presence","room":"r"}"#,
    #"{"type":"direct","to":"hostile","x":1}"#, #"{"type":"request","action":"time","payload":{}}"#,
    #"{"type":"leave","room":"r"}"#, #"{"type":"ping"}"#, #"{"type":"auth","token":"x"}"#,
  ]

  /// Changes, removes, repeats and inserts bytes.
  private static func mutate(_ bytes: [UInt8], _ random: inout SeededGenerator) -> [UInt8] {
    var bytes = bytes
    for _ in 0..<Int.random(in: 1...4, using: &random) where !bytes.isEmpty {
      let at = Int.random(in: 0..<bytes.count, using: &random)
      switch Int.random(in: 0..<5, using: &random) {
      case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
      case 1: bytes[at] ^= 1 << UInt8.random(in: 0..<8, using: &random)
      case 2: bytes.remove(at: at)
      case 3: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
      default: bytes.removeLast(bytes.count - at)
      }
    }
    return bytes
  }

  /// What one hostile socket sends: noise, a bad head, frames with changed bytes, or frames with changed texts.
  private static func attack(_ port: UInt16, _ random: inout SeededGenerator) throws {
    let connection = try TCPConnection(port: port)
    let head = Array(HTTPClient.request("GET", "/ws?user=hostile", headers: WebSocketClient.handshakeHeaders()).utf8)
    var bytes: [UInt8] = []
    switch Int.random(in: 0..<5, using: &random) {
    case 0:
      bytes = random.bytes(Int.random(in: 1...2000, using: &random))
    case 1: bytes = mutate(head, &random)
    default:
      bytes = head
      for _ in 0..<Int.random(in: 1...20, using: &random) {
        let isFrameWrong = Bool.random(using: &random)
        var text = Array(good.randomElement(using: &random)!.utf8)  // Safe because the list is not empty.
        if !isFrameWrong { text = mutate(text, &random) }
        var frame: [UInt8] = []
        let opcode: Opcode = Bool.random(using: &random) ? .text : .binary
        FrameWriter.appendMaskedFrame(
          opcode, key: MaskingKey(.random(in: .min ... .max, using: &random)), payload: text.span, to: &frame)
        bytes += isFrameWrong ? mutate(frame, &random) : frame
      }
    }
    // The node may close in the middle: that is its right.
    for piece in stride(from: 0, to: bytes.count, by: 700) {
      try? connection.send(Array(bytes[piece..<min(piece + 700, bytes.count)]), within: 5)
    }
    _ = connection.read(until: Deadline(within: 0.001))
    if Bool.random(using: &random) { connection.reset() }
  }

  @Test("survives seeded noise and mutated frames on 400 sockets without harm to a pair that behaves")
  func fuzz() throws {
    let server = try RoostProcess(["--max-message", "4k"])
    let (ann, bob) = (try server.connect("ann"), try server.connect("bob"))
    try ann.join("pair")
    try bob.join("pair")
    _ = try ann.settle()
    let seed = UInt64.random(in: .min ... .max)
    var random = SeededGenerator(seed: seed)
    for n in 1...400 {
      try HostileTests.attack(server.port, &random)
      guard n % 10 == 0 else { continue }
      #expect(try ann.publish("pair", "\"n\":\(n)") == n / 10, "seed \(seed)")
      #expect(try bob.expect("message").int("n") == n, "seed \(seed)")
    }
    #expect(server.process.end() == nil, "seed \(seed)")
    #expect(try ann.settle().isEmpty, "seed \(seed)")
    #expect(try bob.settle().isEmpty, "seed \(seed)")
    // Every hostile connection is gone from presence in the end.
    try eventually("only the pair is left (seed \(seed))", within: 15) {
      try server.metric(#"roost_connections{transport="websocket"}"#) == 2
    }
    #expect(try server.inspect("presence/pair")["count"]?.asInt == 2)
    #expect(try server.inspect("users/hostile")["count"]?.asInt == 0)
  }
}
