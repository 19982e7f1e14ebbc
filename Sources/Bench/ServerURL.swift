import LoopCore
import Settings

/// A `ws://` URL taken apart (RFC 6455 section 3).
struct ServerURL: Sendable {
  /// The host as it was written, for the Host header.
  let authority: String
  let path: String
  /// Without the question mark; empty when there is none.
  let query: String
  let address: Address?
  /// Whether the server is reached over loopback, where any 127.x.y.z may be the source.
  let isLoopback: Bool

  /// Stands for a URL that was not needed.
  static let none = ServerURL(authority: "", path: "/", query: "", address: nil)

  private init(authority: String, path: String, query: String, address: Address?) {
    self.authority = authority
    self.path = path
    self.query = query
    self.address = address
    isLoopback = address?.host.hasPrefix("127.") == true
  }

  /// Parses a URL whose host is numeric, or `localhost`: a name server has no place in a measurement.
  init(parsing text: String) throws(SettingsError) {
    guard text.hasPrefix("ws://") else {
      throw SettingsError(message: "\"\(text)\" is not a URL that begins with ws://")
    }
    let rest = text.dropFirst(5)
    let authority = rest.prefix { $0 != "/" && $0 != "?" }
    let target = rest.dropFirst(authority.count)
    let path = target.prefix { $0 != "?" }
    var host = authority
    var port: UInt16? = 80
    if let colon = authority.lastIndex(of: ":"), !authority.hasSuffix("]") {
      host = authority[..<colon]
      port = UInt16(authority[authority.index(after: colon)...])
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = host.dropFirst().dropLast() }
    if host == "localhost" { host = "127.0.0.1" }
    guard let port, let address = Address(numericHost: String(host), port: port) else {
      throw SettingsError(message: "\"\(text)\" has no numeric host and port; expected such as ws://127.0.0.1:80/ws")
    }
    self.init(
      authority: String(authority), path: path.isEmpty ? "/" : String(path),
      query: String(target.dropFirst(path.count + 1)), address: address)
  }

  /// Returns path and query with one more parameter, unless the query sets it already.
  func target(adding name: String, _ value: String) -> String {
    let isSet = query.split(separator: "&").contains { $0.hasPrefix(name + "=") }
    guard !isSet else { return "\(path)?\(query)" }
    return "\(path)?\(query.isEmpty ? "" : query + "&")\(name)=\(value)"
  }

  /// Path and query as they were written.
  var target: String { query.isEmpty ? path : "\(path)?\(query)" }
}
