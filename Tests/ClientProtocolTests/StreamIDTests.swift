import Randomness
import Testing

@testable import ClientProtocol

@Suite("Ids of streams of several rooms")
struct StreamIDTests {
  private func id(_ parts: [([UInt8], Position)]) -> [UInt8] {
    var id: [UInt8] = []
    StreamID.begin(&id)
    for (room, position) in parts { StreamID.append(StreamID.part(of: room.span, at: position), to: &id) }
    return id
  }

  private let unknown = Position(epoch: .unknown, offset: 0)

  @Test("what is written is read again, in any order of the rooms, and is short")
  func roundTrip() throws {
    let offsets: [UInt64] = [0, 1, 63, 64, 4095, 4096, Position.offsetMax]
    let rooms = (0..<offsets.count).map { Array("room:\($0)".utf8) }
    let positions = try zip(1..., offsets).map {
      Position(epoch: try #require(Epoch(UInt64($0) &* 0x9E37_79B9_7F4A_7C15)), offset: $1)
    }
    let id = id(Array(zip(rooms, positions)))
    #expect(StreamID.positions(in: id.span, of: rooms) == positions)
    #expect(StreamID.positions(in: id.span, of: rooms.reversed()) == positions.reversed())
    #expect(StreamID.positions(in: id.span, of: [Array("other".utf8), rooms[3]]) == [unknown, positions[3]])
    #expect(id.count <= rooms.count * 18 + 9)
  }

  @Test("the position of one room is of every room that has its epoch")
  func onePosition() {
    let positions = StreamID.positions(in: Array("1f:7".utf8).span, of: [[65], [66]])
    #expect(positions.map(\.offset) == [7, 7] && positions.allSatisfy { $0.epoch.value == 0x1f })
  }

  @Test(
    "what is no id is no position of any room",
    arguments: [
      "", "~", "~~", "~AAA", "~AAAAAAAAAAAAAAA", "~.", "x", "~AAAAAAAAAAAAAB", "~AAAAAAAAAAAABAA.", "~AAAAAAAAAAAAB A",
      "~AAA__________BA", "~AAAAAAAAAAAABB_________", "~AAAAAAAAAAAABBAAAAAAAAAA", "1f:", ":7", "1f:9007199254740992",
    ])
  func hostile(_ text: String) {
    #expect(StreamID.positions(in: Array(text.utf8).span, of: [[65], [66]]) == [unknown, unknown])
  }

  @Test("any change of an id is read without harm")
  func mutations() throws {
    var generator = SeededGenerator(seed: firstSeed())
    let rooms = (0..<20).map { Array("r\($0)".utf8) }
    let epoch = try #require(Epoch(0x1234_5678_9ABC_DEF0))
    let whole = id(rooms.map { ($0, Position(epoch: epoch, offset: 77)) })
    for _ in 0..<2000 {
      var text = whole
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        text[Int.random(in: 0..<text.count, using: &generator)] = UInt8.random(in: 0...255, using: &generator)
      }
      text.removeLast(Int.random(in: 0...3, using: &generator))
      let positions = StreamID.positions(in: text.span, of: rooms)
      #expect(positions.count == rooms.count && positions.allSatisfy { $0.offset <= Position.offsetMax })
    }
  }
}
