import RoostServer
import Synchronization
import TestSupport

/// Things that closures of a node have seen.
final class Seen<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  var all: [Element] { elements.withLock { $0 } }
  func add(_ element: Element) { elements.withLock { $0.append(element) } }
}

/// A gate that handlers wait at.
actor Gate {
  private var waiting: [CheckedContinuation<Void, Never>] = []
  private(set) var isOpen = false
  var count: Int { waiting.count }

  /// Waits, whether cancelled or not, until the gate is opened.
  func pass() async {
    guard !isOpen else { return }
    await withCheckedContinuation { waiting.append($0) }
  }

  func open() {
    isOpen = true
    for continuation in waiting { continuation.resume() }
    waiting = []
  }
}

extension RoostNode.Configuration {
  /// A node of a test: on a free port of this machine, without drain, silent.
  static func test(_ settings: [String: String] = [:]) -> RoostNode.Configuration {
    var all = ["host": "127.0.0.1", "port": "0", "drain": "0ms", "admin-token": "test-admin-token"]
    all.merge(settings) { $1 }
    var configuration = RoostNode.Configuration(settings: all)
    configuration.log = .none
    return configuration
  }
}

/// Runs a test with a node, and stops the node whatever happens.
func withNode(
  _ configuration: RoostNode.Configuration, _ body: @escaping @Sendable (RoostNode) async throws -> Void
) async throws {
  let node = try await RoostNode.start(configuration)
  do {
    try await body(node)
  } catch {
    await node.stop()
    throw error
  }
  await node.stop()
}

/// Opens a WebSocket to a node.
func client(_ port: UInt16, _ user: String, token: String? = nil) throws -> WebSocketClient {
  let headers = token.map { ["Authorization: Bearer \($0)"] } ?? []
  return try WebSocketClient(port: port, target: "/ws?user=\(user)", headers: headers)
}
