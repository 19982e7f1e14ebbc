import RoostClient
import RoostServer

/// What the libraries do in a second, a node and its clients in one process: for docs/embedding.md and docs/swift-client.md.
@main
struct Figures {
  static func main() async throws {
    var configuration = RoostNode.Configuration(settings: [
      "host": "127.0.0.1", "port": "0", "drain": "0ms", "max-rooms": "1000", "rate": "0", "rate-bytes": "0",
    ])
    configuration.log = .none
    configuration.handlersMax = 10_000
    configuration.requests["twice"] = { request in
      let number: Int = try request.payload?.decode() ?? 0
      return try JSON(encoding: number * 2)
    }
    configuration.requests["same"] = { request in request.payload ?? "null" }
    let node = try await RoostNode.start(configuration)
    for action in ["same", "twice"] {
      for concurrency in [1, 16, 256] { try await calls(node, action, concurrency: concurrency) }
    }
    try await rooms(node, count: 1_000, messages: 100_000)
    await node.stop()
  }

  /// Calls of an `async` handler, so many at a time.
  static func calls(_ node: RoostNode, _ action: String, concurrency: Int) async throws {
    let roost = try Roost("http://127.0.0.1:\(node.port)")
    _ = try await roost.request(action, "1")
    let (clock, seconds) = (ContinuousClock(), 4.0)
    let end = clock.now + .seconds(seconds)
    let count = try await withThrowingTaskGroup(of: Int.self) { group in
      for _ in 0..<concurrency {
        group.addTask {
          var count = 0
          while clock.now < end {
            _ = try await roost.request(action, "21")
            count += 1
          }
          return count
        }
      }
      return try await group.reduce(0, +)
    }
    print("\(action), \(concurrency) at a time: \(Int(Double(count) / seconds)) calls/s")
    await roost.close()
  }

  /// One client in many rooms, which the program publishes in as fast as it can.
  static func rooms(_ node: RoostNode, count: Int, messages total: Int) async throws {
    var options = Roost.Options()
    options.backlogMax = total
    options.backlogBytesMax = 1 << 30
    options.offlineCallsMax = 10_000
    let roost = try Roost("http://127.0.0.1:\(node.port)", options: options)
    let events = await roost.events()
    let clock = ContinuousClock()
    let began = clock.now
    try await withThrowingTaskGroup(of: Void.self) { group in
      for room in 0..<count { group.addTask { try await roost.room("room-\(room)").join() } }
      try await group.waitForAll()
    }
    print("joined \(count) rooms in \(clock.now - began)")
    let start = clock.now
    async let publishing: Void = withThrowingTaskGroup(of: Void.self) { group in
      for task in 0..<64 {
        group.addTask {
          for number in stride(from: task, to: total, by: 64) {
            let text = JSON("{\"number\":\(number),\"text\":\"\(String(repeating: "x", count: 80))\"}")
            try await node.publish(text, in: "room-\(number % count)")
          }
        }
      }
      try await group.waitForAll()
    }
    var (received, offsets) = (0, [String: UInt64]())
    for try await event in events {
      guard case .message(let message) = event else { continue }
      precondition(message.offset == offsets[message.room, default: 0] + 1, "a gap in \(message.room)")
      offsets[message.room] = message.offset
      received += 1
      if received == total { break }
    }
    let time = clock.now - start
    try await publishing
    let rate = Double(total) / (Double(time.components.seconds) + Double(time.components.attoseconds) / 1e18)
    print("received \(total) messages of \(count) rooms in order, none lost: \(Int(rate)) messages/s")
    await roost.close()
  }
}
