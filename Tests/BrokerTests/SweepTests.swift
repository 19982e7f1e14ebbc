import Foundation
import Randomness
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// Whoever is let in can be taken out: whatever stands in a member, a dead node's users do not stay.
@Suite(.serialized)
struct SweepTests {
  private static func value(_ random: inout SeededGenerator, _ depth: Int = 0) -> String {
    switch Int.random(in: 0..<(depth > 4 ? 6 : 9), using: &random) {
    case 0:
      ["0", "-1", "1e999", "-1.5e-999", "123456789012345678901234567890", "9007199254740993"].randomElement(
        using: &random) ?? "0"
    case 1: ["\"\\ud83d\"", "\"\\udc00\\ud800\"", "\"\\ud83d\\ude00\""].randomElement(using: &random) ?? "0"
    case 2: ["\"\\u0000\"", "\"\\u001f\"", "\"\\/\"", "\"\u{7f}\u{e9}\u{2028}\""].randomElement(using: &random) ?? "0"
    case 3: ["true", "false", "null", "\"\"", "{}", "[]"].randomElement(using: &random) ?? "0"
    case 4: String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
    case 5: String(repeating: "{\"a\":", count: 400) + "1" + String(repeating: "}", count: 400)
    case 6: "{\"user\":" + value(&random, depth + 1) + ",\"user\":" + value(&random, depth + 1) + "}"
    case 7: "[" + value(&random, depth + 1) + " , " + value(&random, depth + 1) + "]"
    default: "{\"\\ud800\":" + value(&random, depth + 1) + "}"
    }
  }

  private static func user(_ random: inout SeededGenerator) -> [UInt8] {
    switch Int.random(in: 0..<4, using: &random) {
    case 0: (0..<Int.random(in: 1...200, using: &random)).map { _ in UInt8.random(in: 0...255, using: &random) }
    case 1:
      bytes(
        ["a\"b", "\\", "/", "}:users", "\u{0}", "\u{1F600}", "-", "n1-1", "*", " "].randomElement(using: &random) ?? "x"
      )
    default: bytes("user\(Int.random(in: 0..<50, using: &random))")
    }
  }

  @Test("every member that is accepted can be swept when its node dies")
  func property() throws {
    let server = try RedisServer()
    let nodes = try ["n1", "n2"].map { try TestNode($0, on: server) }
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    try nodes[1].subscribe()
    var random = SeededGenerator(seed: 11)
    var users: Set<[UInt8]> = []
    for handle in 0..<400 {
      let user = Self.user(&random)
      let member = Member(
        name: bytes("n1-\(handle)"), node: bytes("n1"), user: user, transport: .websocket, address: bytes("127.0.0.1"),
        since: 1, info: Bool.random(using: &random) ? bytes(Self.value(&random)) : nil)
      users.insert(user)
      nodes[0].broker.connect(member)
      _ = try nodes[0].enter(member)
    }
    // Of another version: a transport that this one does not know, and what it cannot read at all.
    server.run("HSET", "roost:3:{r:r}:members", "n1-later", #"{"user":"later","transport":"carrier-pigeon","x":1}"#)
    server.run("HSET", "roost:3:{r:r}:users", "later", "1")
    server.run("HSET", "roost:3:{r:r}:members", "n1-broken", "\u{1}not JSON")
    var read: Set<[UInt8]> = []
    var cursor: [UInt8]?
    repeat {
      let page = try nodes[1].userPage(from: cursor)
      read.formUnion(page.users)
      cursor = page.next
    } while cursor != nil
    #expect(read == users.union([bytes("later")]))
    nodes[0].redis?.abandon()
    #expect(drive([nodes[1]], within: 20) { server.run("EXISTS", "roost:3:{r:r}:users") == "0" })
    #expect(server.run("EXISTS", "roost:3:{r:r}:members") == "0")
    #expect(drive([nodes[1]]) { nodes[1].heard.notices(.userLeft).count == users.count + 1 })
    #expect(drive([nodes[1]], within: 20) { server.run("EXISTS", "roost:3:{n:n1}:connections") == "0" })
    #expect(server.run("KEYS", "roost:3:{u:*")?.isEmpty == true)
  }

  @Test("no script reads JSON")
  func scripts() {
    for script in Script.allCases {
      #expect(!String(decoding: script.source, as: UTF8.self).contains("cjson"), "\(script)")
    }
  }
}
