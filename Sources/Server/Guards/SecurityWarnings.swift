import AddressCore
import LoopCore
import Settings

/// Warns of settings that are not safe on the internet: in the log at the start, and in `/admin/nodes`.
enum SecurityWarnings {
  /// Bytes of a secret under which it can be guessed: 128 bits in hexadecimal have twice as many.
  static let secretBytesMin = 16

  /// One sentence for each thing that is open; none for a node that may be on the internet as it is.
  static func warnings(_ settings: ServerSettings) -> [String] {
    var warnings = authentication(settings) + weakSecrets(settings)
    // No other machine can reach it, but by way of a proxy on this one.
    if settings.host == "localhost" || IPAddress(settings.host)?.isLoopback == true { return warnings }
    if settings.tlsCertificatePath == nil, settings.trustedProxies.isEmpty {
      warnings.append(
        "no TLS: messages and tokens can be read on the way; set --tls-cert and --tls-key, or put a proxy with TLS in "
          + "front and name it in --trusted-proxies")
    }
    if let url = settings.webhooks.url, isReadable(url), backend(settings).isEmpty {
      warnings.append("webhook-url is not https: what is posted there can be read on the way")
    }
    if settings.echo {
      warnings.append("echo: anyone may have messages of 16 MiB sent back; for conformance tests only")
    }
    return warnings
  }

  /// One sentence for each setting with a secret that is too short, wherever the node listens: a short one can be
  /// found by trying. It is warned of and never refused.
  private static func weakSecrets(_ settings: ServerSettings) -> [String] {
    var secrets: [(name: String, secret: String?, bytesMin: Int)] = [
      ("admin-token", settings.adminToken, secretBytesMin), ("api-key", settings.apiKey, secretBytesMin),
      ("ice-secret", settings.iceSecret, secretBytesMin),
    ]
    if settings.authentication == .jwt { secrets.append(("jwt-secret", settings.jwtSecret, SharedSecret.bytesMin)) }
    for secret in settings.webhooks.secrets { secrets.append(("webhook-secret", secret, secretBytesMin)) }
    for hook in settings.hooks {
      for secret in hook.secrets { secrets.append(("secret of the hook \(hook.name)", secret, secretBytesMin)) }
    }
    var warnings: [String] = []
    for (name, secret, bytesMin) in secrets {
      guard let secret, secret.utf8.count < bytesMin else { continue }
      let warning = SharedSecret.warning(name, bytesMin: bytesMin)
      if !warnings.contains(warning) { warnings.append(warning) }
    }
    return warnings
  }

  /// Whether what is sent to a URL can be read on the way: it leaves this machine without TLS.
  private static func isReadable(_ url: String) -> Bool {
    guard url.hasPrefix("http://") else { return false }
    let authority = url.dropFirst(7).prefix { !"/?#".contains($0) }.split(separator: "@").last ?? ""
    let host = authority.hasPrefix("[") ? authority.dropFirst().prefix { $0 != "]" } : authority.prefix { $0 != ":" }
    return host != "localhost" && IPAddress(String(host))?.isLoopback != true
  }

  /// Warns that the default limits have applied to no client so far; nil when every limit was set.
  static func idleLimits(_ settings: ServerSettings, _ origins: ClientOrigins) -> String? {
    let unset = settings.limitsByDefault
    guard !unset.isEmpty else { return nil }
    let count = origins.loopbackCount + origins.privateCount
    return "all \(count) clients so far have private addresses, which the default limits spare: "
      + "\(unset.joined(separator: ", ")) have applied to nobody. Clients that come through a proxy or NAT "
      + "need --trusted-proxies (and --proxy-protocol for TCP proxies) to be told apart; a limit that is set counts for "
      + "all addresses"
  }

  /// Warns that the answers of the backend, which nobody signs, can be changed on the way.
  private static func backend(_ settings: ServerSettings) -> [String] {
    guard settings.asksAboutConnects || !settings.webhooks.decisions.isEmpty, let url = settings.webhooks.url,
      isReadable(url)
    else { return [] }
    return [
      "webhook-url is http://: what the backend decides can be changed on the way, and headers and tokens be read; use "
        + "https://"
    ]
  }

  private static func authentication(_ settings: ServerSettings) -> [String] {
    var warnings = backend(settings)
    let mode = settings.authentication
    if mode == .none {
      warnings.append("auth=none: anyone may connect under any name; for development, never on the internet")
    }
    if let unused = settings.unusedTokenSettings {
      warnings.append(
        "\(unused): auth=\(mode.rawValue) checks no token; set --auth jwt, or leave these settings out")
    }
    return warnings
  }
}
