import Randomness
import Testing

@testable import Realtime

@Suite("Remembered ids")
struct DedupeMemoryTests {
  private func key(_ number: Int) -> [UInt8] { Array("ann:\(number)".utf8) }

  private func answer(_ number: Int) -> DedupeMemory.Answer {
    DedupeMemory.Answer(first: UInt64(number), second: UInt64(number) &* 7)
  }

  @Test("forgets the oldest ids first when more come than fit, and counts them", arguments: [1, 7, 5000, 70_000])
  func oldestFirst(capacity: Int) {
    var memory = DedupeMemory(byteCount: capacity * DedupeMemory.bytesPerID, milliseconds: 1000)
    #expect(memory.capacity == capacity)
    let count = capacity * 2 + capacity / 3
    let ids = (0..<count).map { memory.fingerprint(kind: 1, scope: [1], key($0)) }
    for number in 0..<count { memory.remember(ids[number], answer(number), at: 5) }
    #expect(memory.count == capacity)
    #expect(memory.forgottenTotal == UInt64(count - capacity))
    let wrong = (0..<count).first {
      memory.find(ids[$0], at: 6) != ($0 < count - capacity ? nil : answer($0))
    }
    #expect(wrong == nil)
  }

  @Test("remembers ids for their time and no longer, and gives their memory back")
  func time() {
    var memory = DedupeMemory(byteCount: 1 << 20, milliseconds: 300_000)
    let id = memory.fingerprint(kind: 1, scope: [], key(1))
    memory.remember(id, answer(1), at: 1000)
    #expect(memory.find(id, at: 300_999) == answer(1))
    #expect(memory.find(id, at: 301_000) == nil)
    memory.remember(id, answer(2), at: 301_000)
    memory.expire(at: 301_000)
    #expect(memory.find(id, at: 301_001) == answer(2))
    memory.expire(at: 601_000)
    #expect(memory.count == 0)
    #expect(memory.forgottenTotal == 0, "what has had its time is not forgotten early")
  }

  @Test("keeps scopes and kinds apart")
  func scopes() {
    let memory = DedupeMemory(byteCount: 1024, milliseconds: 1)
    let ids = [
      memory.fingerprint(kind: 1, scope: [1], [2, 3]), memory.fingerprint(kind: 1, scope: [1, 2], [3]),
      memory.fingerprint(kind: 2, scope: [1], [2, 3]), memory.fingerprint(kind: 1, scope: [], [1, 2, 3]),
    ]
    #expect(Set(ids).count == ids.count)
  }

  @Test("does what a dictionary and a list would do (200 seeds)")
  func model() {
    for seed in seeds(200) {
      var random = SeededGenerator(seed: seed)
      let capacity = Int.random(in: 1...40, using: &random)
      var memory = DedupeMemory(byteCount: capacity * DedupeMemory.bytesPerID, milliseconds: 100)
      var list: [(key: Int, answer: DedupeMemory.Answer, expires: UInt64)] = []
      var now: UInt64 = 1
      for step in 0..<400 {
        now += UInt64.random(in: 0...8, using: &random)
        if Int.random(in: 0..<10, using: &random) == 0 { memory.expire(at: now) }
        let number = Int.random(in: 0..<60, using: &random)
        let id = memory.fingerprint(kind: 1, scope: [], key(number))
        let known = list.last { $0.key == number && $0.expires > now }?.answer
        let isInWindow = list.suffix(capacity).contains { $0.key == number && $0.expires > now }
        let found = memory.find(id, at: now)
        // An entry that its id replaced still takes its place, so at worst something is forgotten a little earlier.
        if let found { #expect(found == known, "seed \(seed), step \(step)") }
        if isInWindow { #expect(found == known, "seed \(seed), step \(step)") }
        guard found == nil else { continue }
        memory.remember(id, answer(step), at: now)
        list.append((number, answer(step), now + 100))
      }
    }
  }
}
