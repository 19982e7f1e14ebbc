extension ServerSettings {
  /// Servers that a browser is given. It asks each of them, and slows down with more than a few.
  static let iceServersMax = 8

  /// What is wrong with the URL of a STUN or TURN server (RFC 7064, RFC 7065), as the rest of a sentence; nil: nothing.
  @Sendable static func iceProblem(_ text: String) -> String? {
    let expected = "expected such as stun:stun.example.com:3478 or turn:turn.example.com:3478?transport=udp"
    let parts = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    guard let colon = parts[0].firstIndex(of: ":") else { return "is no STUN or TURN server; \(expected)" }
    let scheme = parts[0][..<colon]
    guard ["stun", "stuns", "turn", "turns"].contains(scheme) else {
      return "begins with none of stun:, stuns:, turn:, turns:; \(expected)"
    }
    if parts.count == 2, !scheme.hasPrefix("turn") || !["transport=udp", "transport=tcp"].contains(parts[1]) {
      return "has an unknown part after \"?\"; only turn and turns take one, transport=udp or transport=tcp"
    }
    return isHostAndPort(parts[0][parts[0].index(after: colon)...]) ? nil : "has no usable host and port; \(expected)"
  }

  private static func isHostAndPort(_ text: Substring) -> Bool {
    var (host, port) = (text, Substring())
    if text.hasPrefix("[") {
      guard let end = text.firstIndex(of: "]") else { return false }
      (host, port) = (text[text.index(after: text.startIndex)..<end], text[text.index(after: end)...])
      guard host.allSatisfy({ $0.isHexDigit || $0 == ":" || $0 == "." }) else { return false }
    } else {
      if let colon = text.firstIndex(of: ":") { (host, port) = (text[..<colon], text[colon...]) }
      guard host.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }) else { return false }
    }
    guard !host.isEmpty, host.utf8.count <= 253 else { return false }
    guard !port.isEmpty else { return true }
    guard port.first == ":", let number = Quantity.integer(String(port.dropFirst())) else { return false }
    return (1...65535).contains(number)
  }

  private var hasTURNServer: Bool { iceServers.contains { $0.hasPrefix("turn") } }

  /// What the settings for calls demand of each other and do not get; nil when they agree.
  var iceContradiction: String? {
    if iceServers.count > ServerSettings.iceServersMax {
      return "--ice-servers has \(iceServers.count) servers; expected at most \(ServerSettings.iceServersMax)"
    }
    if (iceUser == nil) != (iceCredential == nil) {
      return "--ice-user and --ice-credential need each other; "
        + "\(iceUser == nil ? "--ice-user" : "--ice-credential") is missing"
    }
    if iceSecret != nil, iceUser != nil {
      return "--ice-secret and --ice-user are two ways to have a password; expected one of them"
    }
    if hasTURNServer, iceSecret == nil, iceUser == nil {
      return "--ice-servers has a TURN server, which needs --ice-secret, or --ice-user and --ice-credential"
    }
    if !hasTURNServer, iceSecret != nil || iceUser != nil {
      return "\(iceSecret != nil ? "--ice-secret" : "--ice-user") is for TURN; expected one such as "
        + "turn:turn.example.com in --ice-servers"
    }
    return nil
  }
}
