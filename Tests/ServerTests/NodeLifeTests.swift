import LoopCore
import Settings
import Synchronization
import TestSupport
import Testing

@testable import Server

/// Keeps what nodes log.
private final class RecordingLog: LogHandler, Sendable {
  private let lines = Mutex<[String]>([])

  var droppedCount: UInt64 { 0 }
  var messages: [String] { lines.withLock { $0 } }
  func takes(_ level: LogLevel) -> Bool { level != .debug }
  func write(_ entry: LogEntry) { lines.withLock { $0.append("\(entry.node) \(entry.message)") } }
}

@Suite("A node in a program of its own")
struct NodeLifeTests {
  /// What the thread of a node and the test's own share.
  private final class Exchange: Sendable {
    let port = Mutex<UInt16?>(nil)
    let isStopWanted = Mutex(false)
    let isOver = Mutex(false)
    let faults = Mutex<[String]>([])
  }

  /// Starts a node, runs it until the test wants it to stop, and checks that nothing is left of it.
  private static func serve(_ settings: ServerSettings, _ log: RecordingLog, _ exchange: Exchange) throws {
    weak var remains: Node?
    let loop = try EventLoop()
    do {
      let node = try Node(settings, on: loop, log: log)
      remains = node
      var hasEnded = false
      node.ended = { failure in
        hasEnded = true
        if let failure { exchange.faults.withLock { $0.append("\(failure)") } }
      }
      try node.start()
      while !hasEnded {
        loop.tick(waitMillisecondsMax: 10)
        if log.messages.contains("\(settings.nodeID ?? "") listening") { exchange.port.withLock { $0 = node.port } }
        if exchange.isStopWanted.withLock({ $0 }) { node.stop() }
      }
    }
    loop.close()
    if remains != nil { exchange.faults.withLock { $0.append("the node is still in memory") } }
  }

  @Test("starts, serves and stops, twice on one port in one process")
  func twice() throws {
    let log = RecordingLog()
    var settings = ServerSettings()
    settings.host = "127.0.0.1"
    settings.port = 0
    settings.drainMilliseconds = 400
    for round in 1...2 {
      settings.nodeID = "n\(round)"
      let exchange = Exchange()
      let asked = settings
      try startThread {
        do { try NodeLifeTests.serve(asked, log, exchange) } catch {
          exchange.faults.withLock { $0.append("\(error)") }
        }
        exchange.isOver.withLock { $0 = true }
      }
      try eventually("the node listens") {
        exchange.port.withLock { $0 } != nil || exchange.isOver.withLock { $0 }
      }
      let port = try #require(exchange.port.withLock { $0 }, "\(exchange.faults.withLock { $0 })")
      let client = try WebSocketClient(port: port, target: "/ws?user=ada")
      _ = try client.expect("welcome")
      try client.join("r")
      #expect(try client.publish("r", #""n":1"#) == 1, "the node begins anew")
      exchange.isStopWanted.withLock { $0 = true }
      #expect(try client.expectClose() == 1012)
      try eventually("the node has ended") { exchange.isOver.withLock { $0 } }
      #expect(exchange.faults.withLock { $0 } == [])
      #expect(log.messages.contains("n\(round) listening") && log.messages.contains("n\(round) stopped"))
      #expect(throws: (any Error).self) { try WebSocketClient(port: port, target: "/ws?user=ada") }
      settings.port = Int(port)
    }
  }
}
