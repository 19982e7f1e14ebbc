import Randomness
import Testing

@testable import Realtime

@Suite("Lag buffer")
struct LagBufferTests {
  /// What a reader that began at `sequence` would be given: offsets, and whether something before them was dropped.
  private func look(_ buffer: LagBuffer, from sequence: UInt64) -> (offsets: [UInt64], isHoled: Bool) {
    (buffer.entries(from: sequence).filter { !$0.isReplaced }.map(\.offset), sequence < buffer.keptFrom)
  }

  private func append(_ buffer: inout LagBuffer, _ offset: UInt64, key: String? = nil, bytes: Int = 10) {
    buffer.append(
      .message, offset: offset, origin: nil, key: key.map { Array($0.utf8) },
      payload: [UInt8](repeating: 0x78, count: bytes))
  }

  @Test("drops notices together with the messages before them, so that the first entry kept is a message")
  func notices() {
    var buffer = LagBuffer()
    for offset in [1, 0, 0, 2, 0, 3] as [UInt64] { append(&buffer, offset) }
    let cost = buffer.byteCount / 6
    buffer.trim(to: cost * 5)
    #expect(look(buffer, from: 0).offsets == [2, 0, 3])
    #expect(buffer.droppedThrough == 1)
    buffer.trim(to: 0)
    #expect(buffer.isEmpty && buffer.byteCount == 0)
    #expect(buffer.droppedThrough == 3)
    #expect(look(buffer, from: buffer.nextSequence).isHoled == false)
  }

  @Test("a thousand updates of one key take the room of one")
  func oneKey() {
    var buffer = LagBuffer()
    append(&buffer, 1, key: "other")
    for offset in 2...1001 as ClosedRange<UInt64> { append(&buffer, offset, key: "k", bytes: 1000) }
    #expect(buffer.byteCount < 2500)
    #expect(look(buffer, from: 0).offsets == [1, 1001])
    #expect(buffer.keptFrom == 0)
    #expect(buffer.entries(from: 0).count < 200, "what was replaced is cleared away")
  }

  @Test("behaves like a list that is searched from its beginning, over random operations (200 seeds)")
  func model() {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed)
      var buffer = LagBuffer()
      var model: [(sequence: UInt64, offset: UInt64, key: String?)] = []
      var kept: UInt64 = 0
      var offset: UInt64 = 0
      for sequence in 0..<UInt64(400) {
        let key = Bool.random(using: &random) ? "\(Int.random(in: 0..<20, using: &random))" : nil
        let isNotice = key == nil && Int.random(in: 0..<5, using: &random) == 0
        if !isNotice { offset += 1 }
        append(&buffer, isNotice ? 0 : offset, key: key)
        if let key { model.removeAll { $0.key == key } }
        model.append((sequence, isNotice ? 0 : offset, key))
        if Int.random(in: 0..<50, using: &random) == 0 {
          buffer.trim(to: 2000)
          kept = buffer.keptFrom
          let dropped = model.filter { $0.sequence < kept }
          model.removeAll { $0.sequence < kept }
          #expect(dropped.allSatisfy { $0.offset <= buffer.droppedThrough }, "seed \(seed)")
          #expect(buffer.byteCount <= 2000, "seed \(seed)")
        }
        let from = UInt64.random(in: 0...sequence, using: &random)
        let expected = model.filter { $0.sequence >= from }.map(\.offset)
        #expect(look(buffer, from: from).offsets == expected, "seed \(seed)")
      }
    }
  }
}
