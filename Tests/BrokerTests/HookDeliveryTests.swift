import ClientProtocol
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

@Suite("Deliveries of incoming hooks", .serialized)
struct HookDeliveryTests {
  private func position(_ offset: UInt64) -> Position? {
    let text = bytes("1f:\(offset)")
    return Position(text: text.span)
  }

  private func delivery(
    _ id: String, of hook: String = "github", at offset: UInt64? = nil, on node: TestNode
  ) throws -> UInt64? {
    let known = offset.flatMap { position($0) }
    return try ask([node]) { node.broker.delivery(bytes(id), of: bytes(hook), at: known, $0) }?.offset
  }

  @Test("finds the position of the first delivery with an id, of each hook", arguments: BrokerKind.allCases)
  func remembers(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    #expect(try delivery("a", on: node) == nil)
    #expect(try delivery("a", on: node) == nil)
    #expect(try delivery("a", at: 7, on: node) == 7)
    #expect(try delivery("a", at: 8, on: node) == 7)
    #expect(try delivery("a", on: node) == 7)
    #expect(try delivery("a", of: "stripe", on: node) == nil)
    #expect(try delivery("b", on: node) == nil)
  }

  @Test("forgets the oldest beyond its bound, and none of the newest", arguments: [BrokerKind.embedded, .redis])
  func bound(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let count = 2 * Limits.hookDeliveriesMax + 1
    let position = position(1)
    var answered = 0
    for number in 0..<count {
      node.broker.delivery(bytes("d\(number)"), of: bytes("h"), at: position) {
        if case .success(_?) = $0 { answered += 1 }
      }
      if number % 1000 == 0 { #expect(drive([node], within: 20) { answered == number + 1 }) }
    }
    #expect(drive([node], within: 20) { answered == count })
    #expect(try delivery("d0", of: "h", on: node) == nil)
    #expect(try delivery("d\(count - 1 - Limits.hookDeliveriesMax)", of: "h", on: node) == 1)
    #expect(try delivery("d\(count - 1)", of: "h", on: node) == 1)
  }

  @Test("remembers for at least three days, and leaves nothing in Redis after twice as long")
  func age() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    let (new, old) = ("roost:3:{h:github}:new", "roost:3:{h:github}:old")
    func life(_ key: String) -> Int { server.run("PTTL", key).flatMap { Int($0) } ?? -3 }
    #expect(try delivery("a", at: 1, on: node) == 1)
    let days = Limits.hookDeliveryMilliseconds
    #expect((2 * days - 60_000...2 * days).contains(life(new)))
    // Two and a half days later: the same hash. Then the third day is over.
    server.run("PEXPIRE", new, "\(days + 43_200_000)")
    #expect(try delivery("b", at: 2, on: node) == 2)
    #expect(life(old) == -2)
    server.run("PEXPIRE", new, "\(days)")
    #expect(try delivery("c", at: 3, on: node) == 3)
    #expect((days - 60_000...days).contains(life(old)) && life(new) > days)
    for (id, offset) in [("a", 1), ("b", 2), ("c", 3)] as [(String, UInt64)] {
      #expect(try delivery(id, on: node) == offset)
    }
    server.run("UNLINK", old)
    #expect(try delivery("a", on: node) == nil)
    #expect(try delivery("c", on: node) == 3)
    server.run("SET", old, "of another program")
    #expect(throws: (any Error).self) { try delivery("d", on: node) }
    #expect(try delivery("c", on: node) == 3)
  }
}
