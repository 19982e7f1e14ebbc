import ClientProtocol
import SocketIOCore
import Testing

@Suite("Names of events")
struct EventNameTests {
  @Test(
    "names of the application",
    arguments: ["chat message", "hello", "", "Join", "state", "ping", "auth", "connected", "é"])
  func ordinary(_ name: String) {
    #expect(EventName(bytes(name).span) == .ordinary)
  }

  @Test("operations", arguments: EventOperation.allCases)
  func operations(_ operation: EventOperation) {
    #expect(EventName(bytes("\(operation.name)").span) == .operation(operation))
    #expect(ClientOperation.Kind(rawValue: "\(operation.name)") != nil)
  }

  @Test(
    "what Socket.IO reserves",
    arguments: ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"])
  func reserved(_ name: String) {
    #expect(EventName(bytes(name).span) == .forbidden)
  }

  @Test("whatever the server sends, no client may, unless it is an operation", arguments: EventKind.allCases)
  func serverOnly(_ kind: EventKind) {
    let name = "\(kind.wireName)"
    let operation = EventOperation.allCases.first { "\($0.name)" == name }
    #expect(EventName(bytes(name).span) == operation.map { .operation($0) } ?? .forbidden)
    #expect(operation?.isAlsoOfServer ?? true)
  }

  @Test("the table has nothing that the server does not send")
  func noOther() {
    let sent = Set(EventKind.allCases.map { "\($0.wireName)" })
    #expect(EventName.serverOnly.allSatisfy { sent.contains("\($0)") })
    for operation in EventOperation.allCases { #expect(operation.isAlsoOfServer == sent.contains("\(operation.name)")) }
  }

  @Test(
    "names as they stand in packets",
    arguments: [
      (#"2["a"]"#, .ordinary), (#"2["jo\u0069n"]"#, .operation(.join)), (#"2["c\u006fnnect"]"#, .forbidden),
      ("2[1]", .invalid),
      (#"2["\ud800"]"#, .invalid), (#"3["a"]"#, .invalid),
    ] as [(String, EventName)])
  func packets(_ packet: String, _ name: EventName) throws {
    let (_, arguments, bytes) = try parsed(packet)
    #expect(EventName(of: try #require(arguments), in: bytes.span) == name)
  }
}
