/// Processes of Redis that speak TLS, ask for a client's certificate, and let nodes in as a user with few rights. The tests'
/// own orders go to the plain ports.
package struct RedisSecurity: Sendable {
  package let certificates: Certificates
  /// What docs/redis.md says is enough, whatever stands behind the URL.
  private static let rights = [
    "on", ">s3cret", "~roost:*", "&roost:*", "+@connection", "+@pubsub", "+@hash", "+@sortedset", "+@list", "+@string",
    "+@scripting", "+@keyspace", "+time", "+info",
  ]

  package init() throws { certificates = try Certificates() }

  /// For a `redis-server` whose third port speaks TLS.
  ///
  /// - Parameter rights: what the user may do beside what a node always needs.
  package func arguments(_ rights: [String]) -> [String] {
    certificates.redisArguments(port: "PORT3", asksForClients: true) + ["--tls-replication", "yes", "--user", "roost"]
      + RedisSecurity.rights + rights
  }

  /// For the file of a sentinel.
  func lines(port: UInt16) -> String {
    """
    tls-port \(port)
    tls-cert-file \(certificates.server.certificate)
    tls-key-file \(certificates.server.key)
    tls-ca-cert-file \(certificates.authority)
    tls-auth-clients yes
    tls-replication yes
    user roost on >s3cret &+switch-master +sentinel|get-master-addr-by-name +subscribe +ping +client|setname

    """
  }

  /// For `--redis`: what comes before the first host.
  static func prefix(_ topology: String, _ security: RedisSecurity?) -> String {
    security == nil ? "redis+\(topology)://" : "rediss+\(topology)://roost:s3cret@"
  }

  /// What a node is told to trust and to show.
  package var flags: [String] {
    [
      "--redis-ca", certificates.authority, "--redis-cert", certificates.client.certificate, "--redis-key",
      certificates.client.key,
    ]
  }
}
