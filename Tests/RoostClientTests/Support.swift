import RoostClient
import Synchronization
import TestSupport

/// Gives up what takes too long.
func within<Value: Sendable>(
  _ seconds: Double, _ what: String, _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
  try await withThrowingTaskGroup(of: Value.self) { group in
    group.addTask { try await body() }
    group.addTask {
      try await Task.sleep(for: .seconds(seconds))
      throw TestFailure("not within \(seconds) s: \(what)")
    }
    guard let value = try await group.next() else { throw TestFailure("nothing: \(what)") }
    group.cancelAll()
    return value
  }
}

/// Things that tasks have seen.
final class Seen<Element: Sendable>: Sendable {
  private let elements = Mutex<[Element]>([])

  var all: [Element] { elements.withLock { $0 } }
  func add(_ element: Element) { elements.withLock { $0.append(element) } }

  /// Collects what a sequence brings.
  func collect<Source: AsyncSequence & Sendable>(
    _ source: Source, _ pick: @escaping @Sendable (Source.Element) -> Element?
  )
    -> Task<Void, Never>
  {
    Task { do { for try await element in source { if let picked = pick(element) { add(picked) } } } catch {} }
  }
}

/// A `roost` process of a test that tasks share: it is used by one at a time.
final class Server: @unchecked Sendable {
  let process: RoostProcess

  init(_ flags: [String] = [], port: UInt16 = 0) throws {
    process = try RoostProcess(["--host", "127.0.0.1", "--auth", "none"] + flags, port: port)
  }

  var url: String { "http://127.0.0.1:\(process.port)" }
}

/// What a message of these tests says.
struct Count: Codable, Sendable { let n: Int }
