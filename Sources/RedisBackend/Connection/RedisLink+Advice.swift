import Glibc
import LoopCore
import Realtime

// What Redis, TLS or the system said when something failed, and what to do about it.

extension RedisLink {
  /// Says what is wrong with TLS, and what to do about it. Alerts are named as OpenSSL names them (RFC 8446 section 6.2).
  static func complaint(about failure: String) -> String {
    if failure.hasPrefix("the server's certificate") {
      let isOtherHost = failure.contains("mismatch")
      return "TLS: \(failure)"
        + (isOtherHost
          ? "; use a host in --redis that the certificate names"
          : "; name the authority that signed it with --redis-ca")
    }
    let advice = tlsAdvice.first { failure.contains($0.words) }?.advice
    return "TLS: \(failure)\(advice.map { "; \($0)" } ?? "")"
  }

  private static let tlsAdvice: [(words: String, advice: String)] = [
    (
      "alert unknown ca",
      "Redis does not know the authority of --redis-cert: add it to tls-ca-cert-file of Redis, or give a certificate "
        + "that is signed by one of that file"
    ),
    ("certificate required", "give a client certificate with --redis-cert and --redis-key"),
    ("alert certificate expired", "the certificate of --redis-cert has expired: give a new one"),
    ("alert certificate revoked", "the certificate of --redis-cert was revoked: give another one"),
    (
      "alert bad certificate",
      "Redis does not accept the certificate of --redis-cert: give one that an authority of its tls-ca-cert-file has signed"
    ),
    (
      "alert certificate unknown",
      "Redis does not accept the certificate of --redis-cert: the log of Redis says why"
    ),
    (
      "alert unsupported certificate",
      "the certificate of --redis-cert is not for clients: give one with the extended key usage clientAuth"
    ),
    ("alert protocol version", "allow TLS 1.2 or 1.3 in tls-protocols of Redis"),
    ("unsupported protocol", "allow TLS 1.2 or 1.3 in tls-protocols of Redis"),
    (
      "alert handshake failure",
      "give a client certificate with --redis-cert and --redis-key, or allow more in tls-ciphers of Redis"
    ),
    ("unrecognized name", "use a host in --redis that the certificate of Redis names"),
    ("alert", "Redis ended the handshake: its log says why"),
    ("certificate", "give a client certificate with --redis-cert and --redis-key"),
    ("version number", "is this a port for TLS?"),
    ("packet length", "is this a port for TLS?"),
    ("closed in the middle", "the log of Redis says why"),
  ]

  /// Says why a Unix socket could not be connected to, and what to do.
  static func unixComplaint(about code: Int32) -> String {
    let advice =
      switch code {
      case ENOENT: "; correct the path in --redis, or set unixsocket in the configuration of Redis"
      case ECONNREFUSED: "; start Redis: the socket is there, and nobody listens on it"
      case EACCES, EPERM: "; let this user in with unixsocketperm in the configuration of Redis"
      default: ""
      }
    return "the socket cannot be connected to: \(SystemError.text(code))\(advice)"
  }

  /// What to do about a URL that means a single Redis and leads to a node of a cluster.
  static let clusterAdvice = "this is a node of a Redis Cluster: write redis+cluster://HOST:PORT,... in --redis"

  /// A line for the log about a command that was refused, and what to do about it. Names no secret.
  static func refusal(of command: String, _ reply: Reply) -> String {
    let text = reply.text
    let advice =
      if command == "AUTH", reply.begins(with: "ERR") {
        "; check user and password in --redis"
      } else if reply.begins(with: "MOVED") || text.contains("SELECT is not allowed in cluster mode") {
        "; \(clusterAdvice)"
      } else {
        RedisRefusal(text).map { "; \($0.advice)" } ?? ""
      }
    return "\(command) was refused: \(text)\(advice)"
  }
}

/// Why a Redis in reach refuses commands, by its error.
enum RedisRefusal: String, CaseIterable {
  case readOnly = "READONLY"
  case outOfMemory = "OOM"
  case noPermission = "NOPERM"
  case notSaving = "MISCONF"
  case loading = "LOADING"
  case masterDown = "MASTERDOWN"
  case wrongPassword = "WRONGPASS"
  case noLogin = "NOAUTH"
  case protected = "DENIED"
  case full = "max number of clients"
  /// As the log says it: Redis answers a login that it does not take in several ways, also where it has no password.
  case login = "AUTH was refused"

  /// Reads an error, or a line that holds one: a script's error has it after the words of Redis 6 and before.
  init?(_ text: String) {
    if text.contains("can't run this command") || text.contains("can't access one of") {
      self = .noPermission
    } else if let found = RedisRefusal.allCases.first(where: { text.contains($0.rawValue) }) {
      self = found
    } else {
      return nil
    }
  }

  /// What to change.
  var advice: String {
    switch self {
    case .readOnly: "this Redis is a replica: name its master in --redis, or its sentinels as redis+sentinel://"
    case .outOfMemory: "Redis is full: raise its maxmemory, or keep less with --history-size and --history-ttl"
    case .noPermission: "grant the ACL user what docs/redis.md lists"
    case .notSaving: "Redis cannot write its data to disk: make room there, its log says what is wrong"
    case .loading: "Redis reads its data: wait until it has"
    case .masterDown: "this Redis is a replica without its master: name the master in --redis"
    case .wrongPassword, .noLogin, .login: "check user and password in --redis"
    case .protected: "Redis takes connections from its own machine only: give it a password, or set protected-mode no"
    case .full: "raise maxclients of Redis"
    }
  }

  /// The same for those who ask a node. Holds nothing of what Redis said but the word.
  var refusal: BrokerRefusal { BrokerRefusal(what: "Redis refuses commands (\(rawValue))", advice: advice) }
}
