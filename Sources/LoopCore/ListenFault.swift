import Glibc

/// Why nothing can listen where a setting asks for it: a line that names the address and says what to do.
public struct ListenFault: Error, Equatable, CustomStringConvertible {
  /// What is wrong.
  public enum Kind: Error, Equatable {
    /// The text is neither an address nor a host name.
    case notAHost
    /// The name service knows no address of this name.
    case unknownHost
    /// The name service did not answer.
    case noNameService
    /// The address belongs to another machine, or to none.
    case notHere
    /// Another socket has the port.
    case taken
    /// The process may not bind the port.
    case notPermitted
    case system(SystemError)
  }

  public let kind: Kind
  /// The host as it was set.
  public let host: String
  /// 0: any free port was asked for.
  public let port: Int
  /// The flag that sets the port.
  public let portFlag: String

  /// Whether the setting itself is wrong, so that the same start fails everywhere; otherwise something stands in its way.
  public var isWrongSetting: Bool { kind == .notAHost || kind == .unknownHost }

  public var description: String {
    let expected = "expected an address of this machine such as 127.0.0.1 or ::1, its host name, or * for all addresses"
    switch kind {
    case .notAHost: return "--host: \"\(host)\" is neither an address nor a host name; \(expected)"
    case .unknownHost: return "--host: \"\(host)\" cannot be resolved: no such host; \(expected)"
    case .noNameService:
      return "--host: \"\(host)\" cannot be resolved: the name server does not answer; try again, or use a numeric "
        + "address"
    case .notHere: return "--host: \"\(host)\" is no address of this machine; \(expected)"
    case .taken:
      return "port \(port) is taken: another program, or another roost, listens on it (ss -ltnp shows which), or "
        + "an outgoing connection holds it (ss -tanp; net.ipv4.ip_local_port_range). Stop it, or choose another port with "
        + "\(portFlag)"
    case .notPermitted:
      return "port \(port): permission denied. Ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose "
        + "another port with \(portFlag)"
    case .system(let error): return "cannot listen on \(host), port \(port): \(error)"
    }
  }

  /// Translates what the system says about a socket.
  public init(_ error: SystemError, host: String, port: Int, portFlag: String) {
    let kind: Kind =
      switch error.code {
      case EADDRINUSE: .taken
      case EADDRNOTAVAIL: .notHere
      case EACCES, EPERM: .notPermitted
      default: .system(error)
      }
    self.init(kind, host: host, port: port, portFlag: portFlag)
  }

  init(_ kind: Kind, host: String, port: Int, portFlag: String) {
    self.kind = kind
    self.host = host
    self.port = port
    self.portFlag = portFlag
  }
}
