/// Where the other side of a bridge is and how to log in.
///
/// Accepts `kafka://[USER:PASSWORD@]HOST[:PORT],…` and `amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST]`; `kafkas` and `amqps`
/// mean TLS. User, password and virtual host are percent-decoded (RFC 3986 section 2.1; for AMQP
/// www.rabbitmq.com/uri-spec.html).
public struct BridgeURL: Equatable, Sendable, CustomStringConvertible {
  /// What is there.
  public let kind: BridgeKind
  /// Whether connections use TLS.
  public let usesTLS: Bool
  /// nil: of Kafka no login, of AMQP guest.
  public let user: String?
  /// Comes with the user.
  public let password: String?
  /// At least one; of AMQP they are tried in turn.
  public let hosts: [RedisURL.Endpoint]
  /// The virtual host of AMQP.
  public let virtualHost: String

  /// Reads a URL. The error repeats nothing of it, for it may hold a password.
  public init(parsing text: String) throws(SettingsError) {
    let schemes: [(name: String, kind: BridgeKind, isSecure: Bool, port: Int)] = [
      ("kafka", .kafka, false, 9092), ("kafkas", .kafka, true, 9093), ("amqp", .amqp, false, 5672),
      ("amqps", .amqp, true, 5671),
    ]
    guard let scheme = schemes.first(where: { text.hasPrefix($0.name + "://") }) else {
      throw SettingsError(message: "has an unknown scheme; expected kafka://, kafkas://, amqp:// or amqps://")
    }
    let (login, address) = RedisURL.split(text.dropFirst(scheme.name.utf8.count + 3))
    (user, password) = try RedisURL.credentials(login)
    guard (user == nil) == (password == nil) else {
      throw SettingsError(message: "has a password without a user; expected USER:PASSWORD@")
    }
    let (names, path) = RedisURL.splitPath(address)
    hosts = try RedisURL.endpoints(names, defaultPort: scheme.port)
    (kind, usesTLS) = (scheme.kind, scheme.isSecure)
    virtualHost = path.isEmpty ? "/" : try RedisURL.decoded(path)
    if kind == .kafka, !path.isEmpty { throw SettingsError(message: "has a path; topics stand in in and out") }
  }

  /// The URL without its password, for logs.
  public var description: String {
    let scheme = (kind == .kafka ? "kafka" : "amqp") + (usesTLS ? "s" : "")
    let path = virtualHost == "/" ? "" : "/\(virtualHost)"
    return "\(scheme)://\(hosts.map(\.description).joined(separator: ","))\(path)"
  }
}
