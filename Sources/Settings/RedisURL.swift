/// Where Redis is and how to log in, as one URL says it.
///
/// Accepts `redis://[[user]:password@]host[:port][/database]`, `unix://[[user]:password@]/path`,
/// `redis+sentinel://host[:port],…/master[/database]` and `redis+cluster://host[:port],…`; `rediss` instead of `redis`
/// means TLS. User, password, path and master are percent-decoded (RFC 3986 section 2.1).
public struct RedisURL: Equatable, Sendable, CustomStringConvertible {
  /// One host with a port.
  public struct Endpoint: Equatable, Sendable, CustomStringConvertible {
    /// A name or an address; an IPv6 address without its brackets.
    public let host: String
    /// 1 to 65535.
    public let port: Int

    /// Makes an endpoint; an IPv6 address has no brackets.
    public init(host: String, port: Int) {
      self.host = host
      self.port = port
    }

    /// Reads `host:port`, with brackets around an IPv6 address.
    public var description: String { host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)" }
  }

  /// What stands behind the URL.
  public enum Topology: Equatable, Sendable {
    case single(Endpoint)
    case unixSocket(path: String)
    /// The endpoints are the sentinels'; they name the address of `master`.
    case sentinel([Endpoint], master: String)
    /// The endpoints are any nodes of the cluster; they name the others.
    case cluster([Endpoint])
  }

  /// The port of a Redis server that the URL does not state.
  public static let defaultPort = 6379
  /// The port of a sentinel that the URL does not state.
  public static let defaultSentinelPort = 26379

  /// What stands behind the URL and where.
  public let topology: Topology
  /// Whether every connection uses TLS.
  public let usesTLS: Bool
  /// The user for AUTH; nil for the default user. Comes only with a password.
  public let user: String?
  /// The password for AUTH; nil: no AUTH is sent.
  public let password: String?
  /// The number for SELECT; 0 in a cluster.
  public let database: Int

  init(topology: Topology, usesTLS: Bool, user: String?, password: String?, database: Int) {
    self.topology = topology
    self.usesTLS = usesTLS
    self.user = user
    self.password = password
    self.database = database
  }

  /// The URL without its password, for logs.
  public var description: String {
    let scheme = usesTLS ? "rediss" : "redis"
    let login = password == nil ? "" : "\(user ?? ""):***@"
    let suffix = database == 0 ? "" : "/\(database)"
    switch topology {
    case .single(let endpoint): return "\(scheme)://\(login)\(endpoint)\(suffix)"
    case .unixSocket(let path): return "unix://\(login)\(path)"
    case .sentinel(let endpoints, let master):
      return "\(scheme)+sentinel://\(login)\(Self.list(endpoints))/\(master)\(suffix)"
    case .cluster(let endpoints): return "\(scheme)+cluster://\(login)\(Self.list(endpoints))"
    }
  }

  private static func list(_ endpoints: [Endpoint]) -> String {
    endpoints.map(\.description).joined(separator: ",")
  }
}
