extension RedisURL {
  /// The forms that errors offer.
  static let forms =
    "redis://[:password@]host[:port][/database], rediss://…, unix:///path, redis+sentinel://host,…/master or "
    + "redis+cluster://host,…"

  /// Parses a URL; the error says what is wrong with it without repeating any of it, for it may hold a password.
  public init(parsing text: String) throws(SettingsError) {
    guard let colon = text.firstIndex(of: ":"), text[colon...].hasPrefix("://") else {
      throw Self.error("is not a Redis URL; expected \(Self.forms)")
    }
    let scheme = text[..<colon]
    let rest = text[colon...].dropFirst(3)
    guard !rest.contains("?"), !rest.contains("#") else {
      throw Self.error("has a ? or #; write them as %3F and %23 in a password, options are not understood")
    }
    let (login, address) = Self.split(rest)
    let (user, password) = try Self.credentials(login)
    switch scheme {
    case "unix":
      guard address.hasPrefix("/"), address.count > 1 else {
        throw Self.error("has no path of a socket; expected unix:///path")
      }
      self.init(
        topology: .unixSocket(path: try Self.decoded(address)), usesTLS: false, user: user, password: password,
        database: 0)
    case "redis", "rediss":
      let (hosts, path) = Self.splitPath(address)
      let endpoints = try Self.endpoints(hosts, defaultPort: Self.defaultPort)
      guard endpoints.count == 1 else {
        throw Self.error("lists several hosts; expected one, or redis+sentinel:// or redis+cluster://")
      }
      self.init(
        topology: .single(endpoints[0]), usesTLS: scheme == "rediss", user: user, password: password,
        database: try Self.database(path))
    case "redis+sentinel", "rediss+sentinel":
      let (hosts, path) = Self.splitPath(address)
      let (master, database) = Self.splitPath(path)
      guard !master.isEmpty else {
        throw Self.error("names no master; expected redis+sentinel://host[:port],…/master[/database]")
      }
      self.init(
        topology: .sentinel(
          try Self.endpoints(hosts, defaultPort: Self.defaultSentinelPort), master: try Self.decoded(master)),
        usesTLS: scheme.hasPrefix("rediss"), user: user, password: password, database: try Self.database(database))
    case "redis+cluster", "rediss+cluster":
      let (hosts, path) = Self.splitPath(address)
      guard try Self.database(path) == 0 else {
        throw Self.error("names a database; a Redis cluster has only database 0")
      }
      self.init(
        topology: .cluster(try Self.endpoints(hosts, defaultPort: Self.defaultPort)),
        usesTLS: scheme.hasPrefix("rediss"), user: user, password: password, database: 0)
    default:
      throw Self.error("has an unknown scheme; expected \(Self.forms)")
    }
  }

  private static func error(_ problem: String) -> SettingsError { SettingsError(message: problem) }

  /// Cuts at the last @, so that a password with a bare @ still works; a path has no login before it.
  static func split(_ rest: Substring) -> (login: Substring?, address: Substring) {
    guard !rest.hasPrefix("/"), let at = rest.lastIndex(of: "@") else { return (nil, rest) }
    return (rest[..<at], rest[rest.index(after: at)...])
  }

  static func splitPath(_ address: Substring) -> (Substring, Substring) {
    guard let slash = address.firstIndex(of: "/") else { return (address, "") }
    return (address[..<slash], address[address.index(after: slash)...])
  }

  static func credentials(_ login: Substring?) throws(SettingsError) -> (String?, String?) {
    guard let login else { return (nil, nil) }
    guard let colon = login.firstIndex(of: ":") else {
      throw error("has a user without a password; expected user:password@ or :password@")
    }
    let user = try decoded(login[..<colon])
    let password = try decoded(login[login.index(after: colon)...])
    guard !password.isEmpty else { throw error("has an empty password; expected user:password@ or :password@") }
    return (user.isEmpty ? nil : user, password)
  }

  private static func database(_ path: Substring) throws(SettingsError) -> Int {
    if path.isEmpty { return 0 }
    guard let number = Quantity.integer(String(path)), (0...65535).contains(number) else {
      throw error("has a path that is no database; expected a number such as /0")
    }
    return number
  }

  static func endpoints(_ hosts: Substring, defaultPort: Int) throws(SettingsError) -> [Endpoint] {
    var endpoints: [Endpoint] = []
    for host in hosts.split(separator: ",", omittingEmptySubsequences: false) {
      endpoints.append(try endpoint(host, defaultPort: defaultPort))
    }
    return endpoints
  }

  /// Reads `host`, `host:port`, `[v6]` or `[v6]:port` (RFC 3986 section 3.2.2).
  private static func endpoint(_ text: Substring, defaultPort: Int) throws(SettingsError) -> Endpoint {
    var host = text
    var port: Substring?
    if text.hasPrefix("[") {
      guard let close = text.firstIndex(of: "]") else { throw error("has a [ without a ]") }
      host = text[text.index(after: text.startIndex)..<close]
      let rest = text[text.index(after: close)...]
      guard rest.isEmpty || rest.hasPrefix(":") else { throw error("has text between an address and its port") }
      port = rest.isEmpty ? nil : rest.dropFirst()
    } else if let colon = text.firstIndex(of: ":") {
      host = text[..<colon]
      port = text[text.index(after: colon)...]
    }
    guard !host.isEmpty, !host.utf8.contains(where: { $0 <= 0x20 || $0 == 0x7F }) else {
      throw error("has an empty host or one with spaces; expected host[:port]")
    }
    guard let port else { return Endpoint(host: String(host), port: defaultPort) }
    guard let number = Quantity.integer(String(port)), (1...65535).contains(number) else {
      throw error("has a port that is not a number from 1 to 65535")
    }
    return Endpoint(host: String(host), port: number)
  }

  static func decoded(_ text: Substring) throws(SettingsError) -> String {
    var bytes: [UInt8] = []
    var rest = text.utf8[...]
    while let byte = rest.popFirst() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      let digits = rest.prefix(2)
      guard digits.count == 2, let value = UInt8(Substring(digits), radix: 16), digits.first != UInt8(ascii: "+") else {
        throw error("has a % that is not followed by two hexadecimal digits")
      }
      bytes.append(value)
      rest = rest.dropFirst(2)
    }
    guard let value = String(validating: bytes, as: UTF8.self) else { throw error("is not UTF-8 once decoded") }
    return value
  }
}
