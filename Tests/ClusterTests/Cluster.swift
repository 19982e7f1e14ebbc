import JSONCore
import TestSupport

/// Nodes on one Redis, all of them real processes.
struct Cluster {
  let redis: RedisProcess
  let nodes: [RoostProcess]

  /// Starts Redis and so many nodes, named n1, n2 …, and waits until all are ready.
  init(_ count: Int, _ flags: [String] = []) throws {
    redis = try RedisProcess()
    nodes = try (1...count).map { [redis] in try Cluster.node("n\($0)", on: redis, flags) }
    for node in nodes { try node.awaitReady() }
  }

  /// Starts one more node.
  static func node(_ name: String, on redis: RedisProcess, _ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(["--node-id", name, "--redis", redis.url, "--workers", "1"] + flags)
  }

  /// Connects one client to each node, named u1, u2 …, all in `room`.
  func members(of room: String) throws -> [WebSocketClient] {
    let clients = try nodes.enumerated().map { try $1.connect("u\($0 + 1)") }
    for client in clients { try client.join(room) }
    return clients
  }
}

extension WebSocketClient {
  /// Takes texts up to the message that carries `"end":NAME`, and returns the messages before it.
  func messages(until name: String, within seconds: Double = 20) throws -> [Received] {
    try expect("message", within: seconds) { $0.string("end") == name }
    return try takeUnread().compactMap { event in
      guard case .text(let text) = event else { return nil }
      let received = try Received(text)
      return received.type == "message" ? received : nil
    }
  }
}
