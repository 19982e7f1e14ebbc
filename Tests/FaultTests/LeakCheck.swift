import TestSupport

/// Looks for what is left behind once all clients are gone.
struct LeakCheck {
  private let bed: Testbed

  init(_ bed: Testbed) { self.bed = bed }

  /// A node's memory may grow by so much: buffers and tables that it keeps for the next crowd. In bytes.
  private static let memoryGrowthMax = 32.0 * 1024 * 1024
  /// Descriptors that may come and go at any time: a link that is being made again, this check's own request.
  private static let descriptorsGrowthMax = 4.0

  func findings() -> [String] {
    do {
      return try channels() + keys() + nodes()
    } catch { return ["cannot be looked at: \(error)"] }
  }

  /// Channels of rooms and users that somebody still hears.
  private func channels() throws -> [String] {
    var channels: [String] = []
    for server in bed.store.servers {
      channels += try words(server.command("PUBSUB CHANNELS")) + words(server.command("PUBSUB SHARDCHANNELS"))
    }
    return channels.filter { $0.contains(":{r:") || $0.contains(":{u:") }.map { "a subscription is left: \($0)" }
  }

  /// Keys of members and connections, and keys without an end.
  private func keys() throws -> [String] {
    try bed.store.masters.flatMap { try keys(of: $0) }
  }

  private func keys(of master: RedisProcess) throws -> [String] {
    var findings: [String] = []
    for key in try words(master.command("KEYS *")).filter({ $0.hasPrefix("roost:") }) {
      if [":members", ":users", ":connections", ":rooms"].contains(where: { key.hasSuffix("}" + $0) }) {
        findings.append("a key is left: \(key) with \(try content(of: key, in: master).joined(separator: " "))")
      } else if !key.hasPrefix("roost:3:{nodes}:"), try master.command("PTTL \(key)").hasPrefix(":-1") {
        findings.append("a key has no end: \(key)")
      }
    }
    return findings
  }

  /// The first members of a key: fields of a hash, or what a sorted set holds.
  private func content(of key: String, in master: RedisProcess) throws -> [String] {
    let isHash = try master.command("TYPE \(key)").contains("hash")
    return try Array(words(master.command(isHash ? "HKEYS \(key)" : "ZRANGE \(key) 0 9")).prefix(10))
  }

  private func nodes() throws -> [String] {
    var findings: [String] = []
    for seat in bed.seats {
      guard let node = seat.process else { continue }
      if try node.metric(#"roost_connections{transport="websocket"}"#) > 0 { findings.append("connections are left") }
      if try node.metric("roost_rooms") > 0 { findings.append("rooms are left") }
      let grown = try node.metric("process_resident_memory_bytes") - seat.memoryAtStart
      if grown > LeakCheck.memoryGrowthMax { findings.append("\(seat.id) has grown by \(Int(grown)) bytes") }
      let opened = try node.metric("process_open_fds") - seat.descriptorsAtStart
      if opened > LeakCheck.descriptorsGrowthMax { findings.append("\(seat.id) has \(opened) more descriptors") }
    }
    return findings
  }

  /// The bulk strings of a reply.
  private func words(_ reply: String) -> [String] {
    reply.split(whereSeparator: \.isNewline).map(String.init).filter { !"$*+:-".contains($0.prefix(1)) }
  }
}
