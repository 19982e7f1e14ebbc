import Glibc

/// A master, its replica, and three sentinels that replace the one by the other within about two seconds.
package final class SentinelTrio {
  /// The name under which the sentinels know the master.
  package static let name = "main"

  package let master: RedisProcess
  package let replica: RedisProcess
  package let ports: [UInt16]
  private let securePorts: [UInt16]
  private let security: RedisSecurity?
  private var sentinels: [ChildProcess] = []
  private var files: [String] = []

  /// - Parameter security: nil: everything is plain, and open to everybody.
  package init(_ security: RedisSecurity? = nil) throws {
    self.security = security
    let secure = security?.arguments(["+role"]) ?? SentinelTrio.sentinelUser
    master = try RedisProcess(secure)
    replica = try RedisProcess(
      secure + [
        "--replicaof", "127.0.0.1 \(SentinelTrio.port(of: master, security))", "--repl-diskless-sync-delay", "0",
        "--repl-ping-replica-period", "1",
      ])
    ports = try (0..<3).map { _ in try FreePort.find() }
    securePorts = try (0..<3).map { _ in try FreePort.find() }
    try eventually("the replica is in step") { [master] in
      try master.command("INFO replication").contains("state=online")
    }
    for index in 0..<3 { try start(index) }
    try eventually("the sentinels know each other and the replica") { [ports] in
      try ports.allSatisfy { port in
        let known = try RedisProcess.command("SENTINEL CKQUORUM main", port: port).contains("OK 3 usable")
        return try known && RedisProcess.command("INFO sentinel", port: port).contains("slaves=1,sentinels=3")
      }
    }
  }

  deinit { for file in files { unlink(file) } }

  /// A Redis user of the sentinels' own, so that a test can close the nodes' connections without theirs: a sentinel whose
  /// connection is closed just before its next PING takes the master for dead.
  private static let sentinelUser = ["--user", "sentinel", "on", "nopass", "~*", "&*", "+@all"]
  private static let sentinelLines = "sentinel auth-pass main any\nsentinel auth-user main sentinel"

  /// For `--redis`.
  package var url: String {
    let hosts = (security == nil ? ports : securePorts).map { "127.0.0.1:\($0)" }.joined(separator: ",")
    return "\(RedisSecurity.prefix("sentinel", security))\(hosts)/\(SentinelTrio.name)"
  }

  /// Where clients reach a process.
  package static func port(of process: RedisProcess, _ security: RedisSecurity? = nil) -> UInt16 {
    security == nil ? process.port : process.thirdPort
  }

  /// Kills one of the sentinels.
  package func killSentinel(_ index: Int) { sentinels[index].kill() }

  /// Where the sentinels see the master.
  package func masterPort() throws -> UInt16? {
    let reply = try RedisProcess.command("SENTINEL get-master-addr-by-name main", port: ports[2])
    return reply.split(whereSeparator: \.isNewline).compactMap { UInt16($0) }.last
  }

  private func start(_ index: Int) throws {
    let port = ports[index]
    let path = "/tmp/roost-test-sentinel-\(port).conf"
    let text = """
      port \(port)
      bind 127.0.0.1
      dir /tmp
      \(security?.lines(port: securePorts[index]) ?? "")
      sentinel monitor main 127.0.0.1 \(SentinelTrio.port(of: master, security)) 2
      sentinel down-after-milliseconds main 1000
      sentinel failover-timeout main 4000
      \(security == nil ? SentinelTrio.sentinelLines : "")

      """
    let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    guard file >= 0, write(file, text, text.utf8.count) == text.utf8.count else {
      throw TestFailure("cannot write \(path)")
    }
    close(file)
    files.append(path)
    sentinels.append(try ChildProcess(["redis-server", path, "--sentinel"]))
    try eventually("a sentinel answers", within: 30) {
      (try? RedisProcess.command("PING", port: port))?.hasPrefix("+PONG") == true
    }
  }
}
