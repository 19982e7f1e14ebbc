import ClientProtocol
import Realtime
import Testing

@testable import RedisBackend

/// Offsets at the edges of rooms at the edges, over every broker: what a client may send is answered, whatever it is.
@Suite(.serialized)
struct BoundaryTests {
  private static let historySize = 4
  /// Rooms by the number of messages that were published in them: empty, one, full, more than they keep.
  private static let rooms: [(name: String, published: UInt64)] = [
    ("empty", 0), ("one", 1), ("full", UInt64(historySize)), ("over", UInt64(historySize) + 3),
  ]
  private static let offsets: [UInt64] = [
    0, 1, UInt64(historySize) - 1, UInt64(historySize), UInt64(historySize) + 1, UInt64(historySize) + 3,
    UInt64(historySize) + 4, UInt64(Int32.max), Position.offsetMax - 1, Position.offsetMax, Position.offsetMax + 1,
    UInt64(Int64.max), UInt64.max - 1, UInt64.max,
  ]
  private static let limits = [-1, 0, 1, historySize, historySize + 1, Int.max]

  /// What a room that keeps `historySize` of its messages has above an offset.
  private func expected(_ published: UInt64, after offset: UInt64, _ limit: Int) -> [UInt64] {
    guard published > 0 else { return [] }
    let first = published > UInt64(Self.historySize) ? published - UInt64(Self.historySize) + 1 : 1
    return Array((first...published).filter { $0 > offset }.prefix(max(0, limit)))
  }

  @Test(
    "answers history after any offset with any limit, in rooms that are empty, have one, are full",
    arguments: BrokerKind.allCases)
  func history(kind: BrokerKind) throws {
    let node = try Bench(kind, historySize: Self.historySize).node
    for (name, published) in Self.rooms {
      for i in 0..<published { _ = try node.publish("m\(i + 1)", in: name) }
      for limit in Self.limits {
        for offset in Self.offsets {
          let page = try node.history(.after(offset, limit: limit), name)
          #expect(
            page.entries.map(\.offset) == expected(published, after: offset, limit),
            "\(name) after \(offset), limit \(limit)")
          #expect(page.position.offset == published)
        }
        let newest = try node.history(.newest(limit: limit), name).entries.map(\.offset)
        #expect(
          newest == expected(published, after: 0, .max).suffix(max(0, limit)), "\(name), newest \(limit)")
      }
    }
  }

  @Test("compares a room with any offset that a node may believe in", arguments: BrokerKind.allCases)
  func compare(kind: BrokerKind) throws {
    for offset in Self.offsets {
      let node = try Bench(kind, historySize: Self.historySize).node
      let epoch = try node.publish("m").epoch
      let end = StreamEnd(position: Position(epoch: epoch, offset: offset), timestamp: offset)
      let position = try ask([node]) { node.broker.compare(room: bytes("r"), with: end, $0) }
      #expect(position.offset <= 1)
      // Whatever was compared, the room goes on.
      #expect(try node.publish("next").offset == position.offset + 1)
    }
  }

  @Test("lists rooms with any limit", arguments: BrokerKind.allCases)
  func limits(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for room in ["a", "b"] { _ = try node.enter(node.member("ann"), room) }
    for limit in [-1, 0, 1, 2, 3, Int.max - 1] {
      #expect(try node.rooms(limit: limit).rooms.count == min(2, max(1, limit)), "limit \(limit)")
    }
  }
}
