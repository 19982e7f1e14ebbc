import ClientCore
import LoopCore
import Settings

/// Where connections of the generator go: an address, and a path that fits what is measured.
struct Destination: Sendable {
  let url: ServerURL
  /// The path of the WebSocket.
  let path: String
  /// The first address of the host; nil before it was looked up, or when there is none.
  private(set) var address: Address?

  /// Where nothing is measured yet.
  static let local = Destination(url: .local, path: "/ws", address: nil)

  private init(url: ServerURL, path: String, address: Address?) {
    self.url = url
    self.path = path
    self.address = address
  }

  /// Reads a URL. Roost's own path is added where none was given; other servers get the path as it was written.
  init(parsing text: String, _ scenario: Scenario, _ dialect: Dialect) throws(SettingsError) {
    do throws(ServerURL.Problem) {
      url = try ServerURL(parsing: text)
    } catch {
      throw SettingsError(message: "--url: \"\(text)\" \(error)")
    }
    path =
      switch dialect {
      case .roost: url.webSocketPath(scenario == .echo ? "echo" : "ws")
      case .socketio: "\(url.basePath)/socket.io/"
      case .nchan, .plain: url.path
      }
    // A node listens on IPv4 by default; `localhost` often is IPv6 first.
    address = Address(numericHost: url.host == "localhost" ? "127.0.0.1" : url.host, port: url.port)
  }

  /// Whether the server is reached over loopback, where any 127.x.y.z may be the source.
  var isLoopback: Bool { address?.host.hasPrefix("127.") == true }

  /// The address that is tried, for messages.
  var tried: String { url.webSocketText(path.isEmpty ? "/" : path) }

  /// Path and query as they were written.
  var target: String { url.target(path) }

  /// Path and query with one more parameter, unless the query sets it already.
  func target(adding name: String, _ value: String) -> String { url.target(path, adding: name, value) }

  /// Looks up the host's name, once and before anything is measured; waits for the answer.
  mutating func lookUp() throws(CommandFailure) {
    guard address == nil else { return }
    address = Address.lookUp(url.host, port: url.port).first
    guard address != nil else { throw ConnectionProblem.unknownHost.failure(url, tried: tried) }
  }
}
