import Settings

/// Reads settings from a command line, an environment and a file at once, and addresses of Redis.
///
/// Lines that begin with `ROOST_` are variables, a line that begins with a brace begins the file, all others are arguments.
enum SettingsTarget {
  static func check(_ input: [UInt8]) throws(Broken) {
    var arguments: [String] = []
    var environment: [String: String] = [:]
    var file: [UInt8] = []
    var rest = input[...]
    while !rest.isEmpty, rest.first != UInt8(ascii: "{") {
      let line = rest.prefix { $0 != 0x0A }
      rest = rest.dropFirst(line.count + 1)
      let text = String(decoding: line, as: UTF8.self)
      if text.hasPrefix("ROOST_"), let equals = text.firstIndex(of: "=") {
        environment[String(text[..<equals])] = String(text[text.index(after: equals)...])
      } else {
        arguments.append(text)
        try checkAddress(text)
      }
    }
    file = Array(rest)
    try checkSettings(arguments, environment, file)
  }

  private static func checkSettings(
    _ arguments: [String], _ environment: [String: String], _ file: [UInt8]
  ) throws(Broken) {
    var reads = 0
    do {
      let parsed = try ServerSettings.parse(
        arguments: arguments, environment: environment, coreCount: 2,
        readFile: { _ in
          reads += 1
          return .success(file)
        })
      guard case .serve(let settings) = parsed else { return }
      try require(reads <= 1, "the file is read once")
      try require((0...65_535).contains(settings.port), "a port has 16 bits")
      try require((1...256).contains(settings.workers), "there are 1 to 256 workers")
      try require(settings.workers == 1 || settings.redis != nil, "workers share rooms through Redis only")
      try require(
        (settings.tlsCertificatePath == nil) == (settings.tlsKeyPath == nil), "a certificate comes with its key")
    } catch let error as SettingsError {
      try require(!error.message.isEmpty, "an error has a message")
      try require(!error.message.utf8.contains(0x0A), "an error is one line: \(error.message)")
    } catch let error as Broken {
      throw error
    } catch {
      throw Broken(description: "no other error: \(error)")
    }
  }

  private static func checkAddress(_ text: String) throws(Broken) {
    guard let url = try? RedisURL(parsing: text) else { return }
    switch url.topology {
    case .single(let endpoint): try require((1...65_535).contains(endpoint.port), "a port is 1 to 65535")
    case .unixSocket(let path): try require(!path.isEmpty, "a socket has a path")
    case .sentinel(let endpoints, let master):
      try require(!endpoints.isEmpty && !master.isEmpty, "sentinels and a master have names")
    case .cluster(let endpoints): try require(!endpoints.isEmpty && url.database == 0, "a cluster has one database")
    }
    try require(url.database >= 0, "a database has a number")
    if let other = withOtherPassword(text), other.topology == url.topology, other.user == url.user {
      try require(other.description == url.description, "a log shows no password")
    }
    guard url.password == nil, case .single = url.topology else { return }
    try require((try? RedisURL(parsing: url.description)) == url, "an address reads as it is shown: \(url)")
  }

  /// The same address with another password: to look for the password itself would find names that read alike.
  private static func withOtherPassword(_ text: String) -> RedisURL? {
    guard let authority = text.firstRange(of: "://")?.upperBound,
      let colon = text.utf8[authority...].firstIndex(of: UInt8(ascii: ":")),
      let at = text.utf8.lastIndex(of: UInt8(ascii: "@")), colon < at
    else { return nil }
    let other = try? RedisURL(parsing: "\(text[...colon])other\(text[at...])")
    return other?.password == "other" ? other : nil
  }
}
