import Glibc

/// What of this machine limits a node. The judgements are pure.
enum MachineChecks {
  static func all() -> [Finding] {
    var limit = rlimit()
    getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
    var findings = [openFiles(soft: UInt64(limit.rlim_cur), hard: UInt64(limit.rlim_max))]
    if let length = number("/proc/sys/net/core/somaxconn") { findings.append(acceptQueue(length)) }
    if let length = number("/proc/sys/net/ipv4/tcp_max_syn_backlog") { findings.append(synQueue(length)) }
    if let ports = numbers("/proc/sys/net/ipv4/ip_local_port_range"), ports.count == 2 {
      findings.append(localPorts(ports[0], ports[1]))
    }
    return findings
  }

  /// A node takes the hard limit; each connection is an open file.
  static func openFiles(soft: UInt64, hard: UInt64) -> Finding {
    let seen = "\(soft), at most \(hard)"
    guard hard < 65_536 else { return .ok("open files", seen) }
    return .warn(
      "open files", "\(seen): a node holds at most \(hard) connections less a hundred",
      "raise it: LimitNOFILE=1048576 in systemd, ulimits in Docker, or ulimit -n before the start")
  }

  /// Connections that wait for accept; more are dropped, and their clients try again after a second.
  static func acceptQueue(_ length: UInt64) -> Finding {
    guard length < 1024 else { return .ok("accept queue", "net.core.somaxconn is \(length)") }
    return .warn(
      "accept queue",
      "net.core.somaxconn is \(length): when many clients come back at once, some wait a second or more",
      "sysctl -w net.core.somaxconn=4096")
  }

  static func synQueue(_ length: UInt64) -> Finding {
    guard length < 1024 else { return .ok("handshake queue", "net.ipv4.tcp_max_syn_backlog is \(length)") }
    return .warn(
      "handshake queue", "net.ipv4.tcp_max_syn_backlog is \(length): a crowd that connects at once is slowed down",
      "sysctl -w net.ipv4.tcp_max_syn_backlog=4096")
  }

  /// What a proxy on this machine has for each address of a node behind it.
  static func localPorts(_ first: UInt64, _ last: UInt64) -> Finding {
    let seen = "net.ipv4.ip_local_port_range is \(first) to \(last)"
    guard last < first + 50_000 else { return .ok("local ports", seen) }
    return .warn(
      "local ports",
      "\(seen): a proxy on this machine reaches one port of a node with at most \(last - min(first, last) + 1) connections",
      "if a proxy runs here: sysctl -w net.ipv4.ip_local_port_range='1024 65535', or several addresses for each node")
  }

  private static func number(_ path: String) -> UInt64? { numbers(path)?.first }

  private static func numbers(_ path: String) -> [UInt64]? {
    guard let file = fopen(path, "r") else { return nil }
    defer { fclose(file) }
    var line = [CChar](repeating: 0, count: 128)
    guard fgets(&line, Int32(line.count), file) != nil else { return nil }
    let text = String(decoding: line.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    return text.split(whereSeparator: \.isWhitespace).compactMap { UInt64($0) }
  }
}
