import JSONCore
import TestSupport

/// Nodes on one Redis, all of them real processes.
struct Cluster {
  let redis: RedisProcess
  let nodes: [RoostProcess]

  /// Starts Redis and so many nodes, named n1, n2 …, and waits until all are ready.
  init(_ count: Int, _ flags: [String] = []) throws {
    redis = try RedisProcess()
    nodes = try Cluster.nodes(count, on: redis.url, flags)
  }

  /// Starts one more node.
  static func node(_ name: String, on redis: RedisProcess, _ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(["--node-id", name, "--redis", redis.url, "--workers", "1"] + flags)
  }

  /// Starts two nodes, n1 and n2, or as many as are asked for, on whatever a URL names, and waits until all are ready.
  static func nodes(_ count: Int = 2, on url: String, _ flags: [String] = []) throws -> [RoostProcess] {
    let nodes = try (1...count).map {
      try RoostProcess(["--node-id", "n\($0)", "--redis", url, "--workers", "1"] + flags)
    }
    for node in nodes { try node.awaitReady() }
    return nodes
  }

  /// Connects one client to each node, named u1, u2 …, all in `room`.
  func members(of room: String) throws -> [WebSocketClient] {
    let clients = try nodes.enumerated().map { try $1.connect("u\($0 + 1)") }
    for client in clients { try client.join(room) }
    return clients
  }
}

extension WebSocketClient {
  /// Publishes `n` in a room, again and again with the same id until it is acked.
  func insist(_ n: Int, in room: String) throws {
    try eventually("message \(n) is taken in \(room)", within: 25) {
      try send(#"{"type":"message","room":"\#(room)","id":"\#(room)-\#(n)","n":\#(n)}"#)
      let answer = try take("an answer to \(n)") { "\($0)".contains(#""id":"\#(room)-\#(n)""#) }
      return "\(answer)".contains(#""type":"ack""#)
    }
  }

  /// Takes texts up to the message that carries `"end":NAME`, and returns the messages before it.
  func messages(until name: String, within seconds: Double = 20) throws -> [Received] {
    try texts(until: name, within: seconds).filter { $0.type == "message" }
  }

  /// Takes texts up to the message that carries `"end":NAME`, and returns all before it.
  func texts(until name: String, within seconds: Double = 20) throws -> [Received] {
    try expect("message", within: seconds) { $0.string("end") == name }
    return try takeUnread().compactMap { event in
      guard case .text(let text) = event else { return nil }
      return try Received(text)
    }
  }
}
