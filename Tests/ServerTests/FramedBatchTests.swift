import Testing

@testable import Realtime
@testable import Server

@Suite("Frames of a room's batch")
struct FramedBatchTests {
  /// A batch of one long message for each of these sessions; nil: of a backend.
  private static func batch(_ origins: [UInt32?]) -> RoomBatch {
    let batch = RoomBatch()
    for (n, session) in origins.enumerated() {
      let origin = session.map { SlabID(index: $0, generation: 1) }
      batch.append(.message, offset: UInt64(n) + 1, origin: origin, acceptedAt: 0) { bytes in
        bytes.append(contentsOf: "{\"n\":\(n),\"text\":\"\(String(repeating: "word \(n) ", count: 60))\"}".utf8)
      }
    }
    return batch
  }

  @Test("compresses each message once, however many members speak in one tick")
  func compressesOnce() {
    let (batch, compression) = (Self.batch((0..<100).map { $0 }), MessageCompression())
    var origins = OriginIndex()
    origins.fill(from: batch)
    let framed = FramedBatch(batch, deflatedBy: compression)
    for session in UInt32(0)..<100 {
      #expect(framed.without(origins.entries(of: session)).count < framed.block.count)
    }
    #expect(compression.deflatedCount == 100)
  }

  @Test(
    "gives a sender exactly what the frames of the others' messages are",
    arguments: [[5], [5, 5], [1, 5, 2], [5, 1, 5, nil, 5], [nil, 5], [5, nil], [nil, nil, 7, 5, 7, 5]] as [[UInt32?]])
  func pieces(origins: [UInt32?]) {
    for compression in [nil, MessageCompression()] {
      let batch = Self.batch(origins)
      var index = OriginIndex()
      index.fill(from: batch)
      let framed = FramedBatch(batch, deflatedBy: compression)
      #expect(!index.contains(4) && !index.contains(6) && !index.contains(1000))
      for session in Set(origins.compactMap(\.self)) {
        #expect(index.contains(session))
        #expect(Array(index.entries(of: session)) == origins.indices.filter { origins[$0] == session })
        // Framed one by one: messages do not depend on one another.
        let others = origins.indices.filter { origins[$0] != session }.flatMap { entry in
          let alone = RoomBatch()
          let start = entry == 0 ? 0 : batch.entries[entry - 1].end
          alone.append(.message, offset: 1, origin: nil, acceptedAt: 0) {
            $0.append(contentsOf: batch.bytes[start..<batch.entries[entry].end])
          }
          return FramedBatch(alone, deflatedBy: compression).block
        }
        #expect(framed.without(index.entries(of: session)) == others)
      }
      index.empty(of: batch)
      #expect(!index.contains(5))
    }
  }

  @Test("frames a batch once for the rosters of many wildcards, and again when it holds other messages")
  func cache() {
    let (compression, batch) = (MessageCompression(), Self.batch([nil, nil]))
    var cache = FramingCache()
    batch.isForWildcards = true
    let first = (0..<64).map { _ in cache.frames(of: batch, .webSocketDeflated, compression).block }
    #expect(compression.deflatedCount == 2)
    #expect(Set(first).count == 1)
    let plain = cache.frames(of: batch, .webSocket, compression).block
    #expect(plain.count > first[0].count)
    batch.removeAll()
    batch.isForWildcards = true
    batch.append(.message, offset: 3, origin: nil, acceptedAt: 0) { $0.append(contentsOf: "{\"n\":3}".utf8) }
    batch.append(.message, offset: 4, origin: nil, acceptedAt: 0) { $0.append(contentsOf: "{\"n\":4}".utf8) }
    #expect(cache.frames(of: batch, .webSocketDeflated, compression).block != first[0])
    let other = Self.batch([nil, nil])
    #expect(cache.frames(of: other, .webSocket, compression).block == plain)
    // A batch for a room's members alone is delivered once, and not kept.
    let before = compression.deflatedCount
    #expect(cache.frames(of: other, .webSocketDeflated, compression).block == first[0])
    #expect(cache.frames(of: other, .webSocketDeflated, compression).block == first[0])
    #expect(compression.deflatedCount == before + 4)
  }
}
