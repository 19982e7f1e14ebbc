import RedisBackend

/// Judges what a look at a master of Redis found. Pure.
enum RedisChecks {
  static func all(_ inspection: RedisInspection) -> [Finding] {
    let name = "redis \(inspection.endpoint)"
    return [version(inspection, name), latency(inspection, name), clock(inspection, name), rights(inspection, name)]
      + eviction(inspection, name) + [outputBuffer(inspection, name), role(inspection, name)].compactMap { $0 }
  }

  private static func version(_ inspection: RedisInspection, _ name: String) -> Finding {
    guard let version = inspection.info["redis_version"] else {
      return .warn(
        "\(name) version", "unknown: INFO was refused",
        "grant +info, so that a node can recognise its Redis after a lost connection")
    }
    let major = Int(version.prefix { $0 != "." }) ?? 0
    guard major >= 5 else {
      return .fail("\(name) version", version, "update Redis: 5 is the oldest that works, 7 is better")
    }
    return .ok("\(name) version", version)
  }

  private static func latency(_ inspection: RedisInspection, _ name: String) -> Finding {
    let sorted = inspection.roundTrips.sorted()
    guard let median = sorted.isEmpty ? nil : sorted[sorted.count / 2], let worst = sorted.last else {
      return .fail("\(name) round trip", "PING was not answered", "grant +ping, and see the log of Redis")
    }
    let seen = "median \(milliseconds(median)) ms, worst \(milliseconds(worst)) ms of \(sorted.count)"
    guard median > 5000 else { return .ok("\(name) round trip", seen) }
    return .warn(
      "\(name) round trip", seen, "every publish waits for it: put nodes and Redis into the same network zone")
  }

  private static func milliseconds(_ microseconds: UInt64) -> String {
    let hundredths = String(microseconds % 1000 / 10)
    return "\(microseconds / 1000)." + (hundredths.count < 2 ? "0" : "") + hundredths
  }

  private static func clock(_ inspection: RedisInspection, _ name: String) -> Finding {
    guard let difference = inspection.clockDifferenceMilliseconds else {
      return .fail("\(name) clock", "TIME was refused", "grant +time: leases and time stamps use the clock of Redis")
    }
    let seen = "\(abs(difference)) ms \(difference < 0 ? "after" : "before") this machine's"
    guard abs(difference) > 2000 else { return .ok("\(name) clock", abs(difference) < 10 ? "the same as here" : seen) }
    return .warn(
      "\(name) clock", seen,
      "run an NTP client (chrony, systemd-timesyncd) on both machines: tokens and time stamps are judged by them")
  }

  private static func rights(_ inspection: RedisInspection, _ name: String) -> Finding {
    let refusals = inspection.refusals.filter { $0.command != "INFO" }
    guard let first = refusals.first else { return .ok("\(name) rights", "all commands that a node needs are allowed") }
    let commands = refusals.map(\.command).joined(separator: ", ")
    return .fail(
      "\(name) rights", "\(commands): \(first.reason)",
      first.reason.hasPrefix("NOPERM")
        ? "grant the ACL user what docs/redis.md lists" : "Redis refuses writes: its log has the reason")
  }

  private static func eviction(_ inspection: RedisInspection, _ name: String) -> [Finding] {
    let policy = inspection.directives["maxmemory-policy"] ?? inspection.info["maxmemory_policy"]
    let limit = inspection.directives["maxmemory"] ?? inspection.info["maxmemory"]
    var findings: [Finding] = []
    switch policy {
    case nil:
      findings.append(
        .warn(
          "\(name) eviction", "unknown: CONFIG GET and INFO were refused",
          "make sure that maxmemory-policy is noeviction"))
    case "noeviction"?: findings.append(.ok("\(name) eviction", "noeviction"))
    case let policy?:
      findings.append(
        .fail(
          "\(name) eviction", "maxmemory-policy is \(policy): Redis may drop history and members without a word",
          "CONFIG SET maxmemory-policy noeviction, and in redis.conf"))
    }
    if limit == "0" {
      findings.append(
        .warn(
          "\(name) memory", "maxmemory is not set",
          "set maxmemory: history is bounded for each room, the number of rooms is not"))
    } else if let limit {
      findings.append(.ok("\(name) memory", "maxmemory is \(limit)"))
    }
    return findings
  }

  /// CONFIG GET answers with the classes in one line: `normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60`.
  private static func outputBuffer(_ inspection: RedisInspection, _ name: String) -> Finding? {
    guard let text = inspection.directives["client-output-buffer-limit"] else { return nil }
    let words = text.split(separator: " ")
    guard let index = words.firstIndex(of: "pubsub"), index + 3 < words.count, let hard = Int(words[index + 1]),
      let soft = Int(words[index + 2])
    else { return nil }
    let seen = "client-output-buffer-limit pubsub is \(words[(index + 1)...(index + 3)].joined(separator: " "))"
    let isLarge = (hard == 0 || hard >= 256 << 20) && (soft == 0 || soft >= 64 << 20)
    guard !isLarge else { return .ok("\(name) subscribers", seen) }
    return .warn(
      "\(name) subscribers", "\(seen): Redis closes the connection of a node that lags behind a burst",
      "CONFIG SET client-output-buffer-limit 'pubsub 256mb 64mb 60', and in redis.conf")
  }

  private static func role(_ inspection: RedisInspection, _ name: String) -> Finding? {
    guard let role = inspection.info["role"] else { return nil }
    guard role == "master" else {
      return .fail("\(name) role", role, "name the master by --redis, or redis+sentinel:// so that it is found")
    }
    return .ok("\(name) role", role)
  }
}
