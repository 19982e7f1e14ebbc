import ClientProtocol
import Randomness
import Testing

@testable import Realtime

@Suite("Room stream, recall, slab and name table")
struct StoreTests {
  private func position(_ epoch: UInt64, _ offset: UInt64) throws -> Position {
    Position(epoch: try #require(Epoch(epoch)), offset: offset)
  }

  @Test("judges each arriving position by the one before")
  func stream() throws {
    let table: [(epoch: UInt64, offset: UInt64, verdict: RoomStream.Verdict, after: UInt64)] = [
      (1, 6, .next, 6), (1, 5, .repeated, 5), (1, 1, .repeated, 5), (1, 7, .skipped, 5), (1, .max, .skipped, 5),
      (2, 6, .newEpoch, 5), (2, 1, .newEpoch, 5),
    ]
    for row in table {
      var stream = RoomStream(at: try position(1, 5))
      let verdict = stream.receive(try position(row.epoch, row.offset))
      #expect(verdict == row.verdict)
      #expect(stream.position == (try position(1, row.after)))
    }
    var stream = RoomStream(at: try position(1, 5))
    let skipped = [stream.skip(to: 5), stream.skip(to: 8)]
    #expect(skipped == [nil, 6...8])
    var verdicts = [stream.receive(try position(1, 9))]
    stream = RoomStream(at: try position(7, 0))
    verdicts.append(stream.receive(try position(7, 1)))
    #expect(verdicts == [.next, .next])
  }

  @Test("gives back exactly what came after an offset, and nil where it would leave a hole")
  func recoveryCache() {
    func message(_ offset: UInt64) -> RecoveryCache.Message {
      RecoveryCache.Message(offset: offset, kind: .message, payload: [1])
    }
    var cache = RecoveryCache(after: 5, expiresAt: 0)
    #expect(cache.messages(after: 5)?.isEmpty == true)
    #expect(cache.messages(after: 4) == nil)
    for offset in 6...8 as ClosedRange<UInt64> { cache.append(message(offset)) }
    for (after, expected) in [(5, [6, 7, 8]), (6, [7, 8]), (7, [8]), (8, []), (9, [])] as [(UInt64, [UInt64])] {
      #expect(cache.messages(after: after)?.map(\.offset) == expected)
    }
    // With a hole at 5, or one inside, nothing may be put in front.
    cache.prepend([message(3), message(4)])
    cache.prepend([message(3), message(5)])
    cache.prepend([])
    #expect(cache.messages(after: 4) == nil)
    cache.prepend([message(3), message(4), message(5)])
    #expect(cache.messages(after: 2)?.map(\.offset) == [3, 4, 5, 6, 7, 8])
    #expect(cache.messages(after: 1) == nil)
    #expect(cache.byteCount == 6)
    // Beyond its bytes the oldest go, and what is left is still without a hole.
    let big = RecoveryCache.Message(
      offset: 9, kind: .message, payload: [UInt8](repeating: 0, count: Limits.recoveryCacheBytesMax - 2))
    cache.append(big)
    #expect(cache.after == 6 && cache.byteCount == Limits.recoveryCacheBytesMax)
    #expect(cache.messages(after: 5) == nil)
    #expect(cache.messages(after: 6)?.map(\.offset) == [7, 8, 9])
    // What would be too much is not put in front.
    cache.prepend([message(6)])
    #expect(cache.messages(after: 5) == nil)
  }

  /// Counts how many of its kind are alive.
  private final class Counted {
    final class Census { var alive = 0 }
    let census: Census
    init(_ census: Census) {
      self.census = census
      census.alive += 1
    }
    deinit { census.alive -= 1 }
  }

  @Test("recognises ids that outlived their element, over growth and reuse, and frees every element")
  func slab() throws {
    let census = Counted.Census()
    var random = SeededGenerator(seed: 7)
    do {
      var slab = Slab<Counted>(capacity: 2)
      var alive: [SlabID: ObjectIdentifier] = [:]
      var dead: [SlabID] = []
      for _ in 0..<5000 {
        if alive.isEmpty || Int.random(in: 0..<10, using: &random) < 6 {
          let element = Counted(census)
          let id = slab.insert(element)
          #expect(alive[id] == nil && !dead.contains(id))
          alive[id] = ObjectIdentifier(element)
        } else {
          let id = try #require(alive.keys.randomElement(using: &random))
          slab.remove(id.index)
          alive[id] = nil
          if dead.count < 50 { dead.append(id) }
        }
        if alive.count % 64 == 1 { slab.shrink() }
        let (count, ghosts) = (slab.count, dead.filter { slab.contains($0) })
        #expect(count == alive.count)
        #expect(ghosts.isEmpty)
      }
      #expect(census.alive == alive.count)
      for (id, object) in alive {
        // The expectation macro cannot look at a slab, which cannot be copied.
        let (isThere, found, name) = (slab.contains(id), ObjectIdentifier(slab[id.index]), slab.id(at: id.index))
        #expect(isThere && found == object && name == id)
        #expect(SlabID(word: id.word) == id)
      }
    }
    #expect(census.alive == 0)
  }

  private final class Entry: Named {
    let name: [UInt8]
    init(_ name: String) { self.name = Array(name.utf8) }
  }

  @Test("finds by name whatever was inserted and not removed, under 20,000 random changes")
  func names() {
    var random = SeededGenerator(seed: 11)
    var table = NameTable<Entry>()
    var model: [String: Entry] = [:]
    for _ in 0..<20_000 {
      let name = "room:\(Int.random(in: 0..<600, using: &random))"
      let bytes = Array(name.utf8)
      #expect(table.find(bytes.span) === model[name])
      if let entry = model[name] {
        table.remove(entry.name)
        model[name] = nil
      } else {
        let entry = Entry(name)
        table.insert(entry)
        model[name] = entry
      }
      if model.count % 50 == 0 { table.shrink() }
      #expect(table.count == model.count)
    }
    var seen = 0
    table.forEach { entry in
      seen += 1
      #expect(model[String(decoding: entry.name, as: UTF8.self)] === entry)
    }
    #expect(seen == model.count)
    table.remove(Array("never".utf8))
    #expect(table.count == model.count)
    let empty: [UInt8] = []
    #expect(table.find(empty.span) == nil)
  }

  @Test("takes at most 72 bytes for a session, and 24 for each of its rooms")
  func sessionSize() {
    #expect(MemoryLayout<Session>.stride <= 72)
    #expect(MemoryLayout<Session.Subscription>.stride <= 24)
  }

  @Test("gives every session's number one text, and reads no other")
  func sessionNumbers() {
    for number in [0, 1, 31, 32, 1 << 32, 1 << 59, 1 << 60, UInt64.max - 1, .max] as [UInt64] {
      var text: [UInt8] = []
      SessionNumber.append(number, to: &text)
      #expect(text.count <= SessionNumber.digitsMax)
      #expect(text.count == SessionNumber.digits(of: number))
      #expect(SessionNumber.parse(text.span) == number, "\(String(decoding: text, as: UTF8.self))")
    }
    for wrong in ["", "01", "w", "A", "-1", "g000000000000", "00000000000000", "fvvvvvvvvvvvvv", " 1"] {
      let text = Array(wrong.utf8)
      #expect(SessionNumber.parse(text.span) == nil, "\(wrong)")
    }
  }
}
