import Glibc
import LoopCore
import Server
import Settings

/// Looks at the bridges of a settings file: the program that runs them, and whether the other sides accept connections.
enum BridgeChecks {
  private static let connectMilliseconds: Int32 = 3000

  static func all(_ bridges: [BridgeSettings]) -> [Finding] {
    guard !bridges.isEmpty else { return [.ok("bridges", "none in the settings")] }
    return [program(BridgeProgram.path)]
      + bridges.flatMap { bridge in
        (bridge.url?.hosts ?? []).map { host in
          judge(bridge.name, "\(host)", problem: problem(host.host, host.port))
        }
      }
  }

  static func program(_ path: String?) -> Finding {
    guard let path, access(path, X_OK) == 0 else {
      return .fail("bridges program", "\(path ?? "roost-bridges") is missing", BridgeProgram.advice)
    }
    return .ok("bridges program", path)
  }

  static func judge(_ bridge: String, _ host: String, problem: String?) -> Finding {
    guard let problem else { return .ok("bridge \(bridge)", "\(host) accepts connections") }
    return .fail(
      "bridge \(bridge)", "\(host): \(problem)", "check url, and that nothing between here and there blocks the port")
  }

  /// Why no connection can be made; nil: one was.
  private static func problem(_ host: String, _ port: Int) -> String? {
    var hints = addrinfo()
    hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
    var list: UnsafeMutablePointer<addrinfo>?
    let code = getaddrinfo(host, String(port), &hints, &list)
    guard code == 0, let first = list else { return String(cString: gai_strerror(code)) }
    defer { freeaddrinfo(list) }
    var problem = "no address"
    var next: UnsafeMutablePointer<addrinfo>? = first
    while let entry = next {
      guard let failure = connectProblem(entry.pointee) else { return nil }
      problem = failure
      next = entry.pointee.ai_next
    }
    return problem
  }

  private static func connectProblem(_ entry: addrinfo) -> String? {
    let descriptor = socket(
      entry.ai_family, entry.ai_socktype | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { return SystemError("socket").description }
    defer { close(descriptor) }
    if connect(descriptor, entry.ai_addr, entry.ai_addrlen) == 0 { return nil }
    guard errno == EINPROGRESS else { return String(cString: strerror(errno)) }
    var waiting = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
    guard poll(&waiting, 1, connectMilliseconds) > 0 else { return "no answer within \(connectMilliseconds / 1000) s" }
    var code: Int32 = 0
    var size = socklen_t(MemoryLayout<Int32>.size)
    getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &size)
    return code == 0 ? nil : String(cString: strerror(code))
  }
}
