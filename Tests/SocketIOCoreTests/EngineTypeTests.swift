import SocketIOCore
import Testing

struct EngineTypeTests {
  @Test func typesAreDigits() {
    #expect(EnginePacketType.allCases.map(\.digit) == Array("0123456".utf8))
    #expect(SocketPacketType.allCases.map(\.digit) == Array("0123456".utf8))
  }
}
