import ClientCore
import JSONCore
import TestSupport
import Testing

/// `roost doctor` against a real Redis and a real node.
@Suite struct DoctorTests {
  private func findings(_ result: Program.Result) throws -> [String: JSONValue] {
    let json = try JSONValue.parse(Array(result.output.utf8).span)
    let all = json["findings"]?.asArray ?? []
    return Dictionary(all.map { ($0["name"]?.asString ?? "", $0) }, uniquingKeysWith: { first, _ in first })
  }

  @Test("finds nothing that fails where node and Redis are as they should be")
  func healthy() throws {
    let redis = try RedisProcess([
      "--maxmemory", "100mb", "--maxmemory-policy", "noeviction", "--client-output-buffer-limit",
      "pubsub 256mb 64mb 60",
    ])
    let node = try TestNode(["--redis", redis.url, "--workers", "1"])
    let result = try Program.run(
      ["doctor", "--json", "--redis", redis.url, "--url", node.url, "--idle", "1s"])
    #expect(result.status == 0, "\(result.output)")
    let found = try findings(result)
    for name in ["open files", "WebSocket", "event stream", "idle time", "readiness"] {
      #expect(found[name]?["verdict"]?.asString != "fail" && found[name] != nil, "\(name)")
    }
    for name in ["version", "round trip", "clock", "rights", "eviction", "memory", "subscribers", "role"] {
      let verdict = found["redis 127.0.0.1:\(redis.port) \(name)"]?["verdict"]?.asString
      #expect(verdict == "ok", "\(name): \(verdict ?? "absent")")
    }
    let text = try Program.run(["doctor", "--redis", redis.url, "--url", node.url])
    #expect(text.output.contains("ok    WebSocket: opened"))
  }

  @Test("fails with what to change when Redis may evict, refuses a command, or is not there")
  func redis() throws {
    let redis = try RedisProcess([
      "--maxmemory-policy", "allkeys-lru", "--user", "node", "on", ">secret", "~*", "&*", "+@all", "-zadd",
    ])
    let url = "redis://node:secret@127.0.0.1:\(redis.port)"
    let result = try Program.run(["doctor", "--json", "--redis", url])
    #expect(result.status == ExitStatus.faulty)
    #expect(!result.output.contains("secret"))
    let found = try findings(result)
    func finding(_ name: String) -> JSONValue? { found["redis 127.0.0.1:\(redis.port) \(name)"] }
    #expect(finding("eviction")?["verdict"]?.asString == "fail")
    #expect(finding("eviction")?["change"]?.asString?.contains("noeviction") == true)
    #expect(finding("rights")?["seen"]?.asString?.contains("ZADD") == true)
    #expect(finding("rights")?["change"]?.asString?.contains("ACL") == true)
    let port = try FreePort.find()
    let absent = try Program.run(["doctor", "--redis", "redis://127.0.0.1:\(port)"])
    #expect(absent.status == ExitStatus.faulty)
    #expect(absent.output.contains("fail  redis"))
    #expect(absent.output.contains("Connection refused"))
    // Not silent for ten seconds.
    let progress = absent.errors.split(separator: "\n").first ?? ""
    #expect(progress.hasPrefix("roost: redis redis://127.0.0.1:\(port): "), "\(absent.errors)")
    #expect(progress.hasSuffix("Connection refused; trying for another 9 s"), "\(absent.errors)")
    let wrong = try Program.run(["doctor", "--redis", "redis://node:wrong@127.0.0.1:\(redis.port)"])
    #expect(wrong.status == ExitStatus.faulty)
    #expect(wrong.output.contains("AUTH"))
    #expect(wrong.errors.contains("WRONGPASS") && !(wrong.errors + wrong.output).contains("node:wrong"))
  }

  @Test("looks at each master of a cluster, and at the master that sentinels name")
  func topologies() throws {
    let cluster = try RedisClusterProcesses()
    let masters = try findings(try Program.run(["doctor", "--json", "--redis", cluster.url])).keys.filter {
      $0.hasSuffix("rights")
    }
    #expect(masters.count == 3)
    let trio = try SentinelTrio()
    let sentinel = try findings(try Program.run(["doctor", "--json", "--redis", trio.url]))
    #expect(sentinel.keys.contains { $0.hasSuffix("rights") })
  }

  @Test("fails with what to change when something on the way keeps upgrades or streams from the client")
  func path() throws {
    let nobody = try Program.run(["doctor", "--url", "http://127.0.0.1:\(try FreePort.find())"])
    #expect(nobody.status == ExitStatus.faulty)
    #expect(nobody.output.contains("check host, port and firewall"))
    let node = try TestNode(["--auth", "jwt", "--jwt-secret", "s"])
    let closed = try Program.run(["doctor", "--url", node.url])
    #expect(closed.status == 0)
    #expect(closed.output.contains("warn  event stream: answered 401: not tried"))
    let invalid = try Program.run(["doctor", "--idle", "1"])
    #expect(invalid.status == ExitStatus.usage)
  }
}
