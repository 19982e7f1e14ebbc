import Testing

@testable import Server

@Suite("A connection's record")
struct ConnectionSizeTests {
  @Test("takes at most 184 bytes, and keeps what may be missing")
  func size() {
    #expect(MemoryLayout<Connection>.stride <= 184)
    var connection = Connection(socket: 3, address: [], role: .main, wire: .socket, tick: 5)
    #expect(connection.session == nil && connection.pingedAt == nil && connection.unfinishedSince == nil)
    connection.pingedAt = 0
    connection.unfinishedSince = 7
    #expect(connection.pingedAt == 0 && connection.unfinishedSince == 7)
    connection.pingedAt = nil
    connection.unfinishedSince = nil
    #expect(connection.pingedAt == nil && connection.unfinishedSince == nil)
  }
}
