import CSystem
import Glibc
import LoopCore

/// What a bridge counts, one word each.
package enum BridgeCount: Int, CaseIterable {
  case inPublished, inDeadLetter, inRetried, outWritten, outRefused, outRetried, outLost
  // Gauges.
  case inLag, outLag, isUp

  static let levels: [BridgeCount] = [.inLag, .outLag, .isUp]
}

/// A page of memory in which the process of the bridges counts and any node of the host reads: a row for each bridge, in the
/// order of the settings. Only one process writes.
package final class BridgePage {
  private let words: UnsafeMutablePointer<UInt64>
  private let bridges: Int

  /// Makes the page's file, which children inherit. Returns its descriptor.
  static func makeFile(bridges: Int) throws(SystemError) -> Int32 {
    let descriptor = memfd_create("roost-bridges", 0)
    guard descriptor >= 0, ftruncate(descriptor, byteCount(bridges)) == 0 else { throw SystemError("memfd_create") }
    return descriptor
  }

  private static func byteCount(_ bridges: Int) -> Int { bridges * BridgeCount.allCases.count * 8 }

  /// Opens a page for so many bridges. Nil when the descriptor is none of such a page.
  package init?(bridges: Int, descriptor: Int32) {
    self.bridges = bridges
    var facts = stat()
    guard bridges > 0, fstat(descriptor, &facts) == 0, facts.st_size >= BridgePage.byteCount(bridges) else {
      return nil
    }
    let memory = mmap(nil, BridgePage.byteCount(bridges), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    // Safe because the mapping has a row for each bridge and lives as long as the process.
    words = memory.assumingMemoryBound(to: UInt64.self)
  }

  /// A count of a bridge, by its place in the settings.
  package subscript(_ bridge: Int, _ count: BridgeCount) -> UInt64 {
    get { words[index(bridge, count)] }
    set { words[index(bridge, count)] = newValue }
  }

  private func index(_ bridge: Int, _ count: BridgeCount) -> Int {
    precondition((0..<bridges).contains(bridge))
    return bridge * BridgeCount.allCases.count + count.rawValue
  }

  /// Sets the gauges of a process that has ended to 0; what it counted stays.
  func clearLevels() {
    for bridge in 0..<bridges { for count in BridgeCount.levels { self[bridge, count] = 0 } }
  }
}

/// The metrics of bridges in Prometheus' text.
enum BridgeMetrics {
  private static let outcomes: [(count: BridgeCount, direction: String, outcome: String)] = [
    (.inPublished, "in", "published"), (.inDeadLetter, "in", "dead_letter"), (.inRetried, "in", "retried"),
    (.outWritten, "out", "written"), (.outRefused, "out", "refused"), (.outRetried, "out", "retried"),
    (.outLost, "out", "lost"),
  ]

  /// Writes the counts of all bridges of this host; nothing without one.
  static func text(_ page: BridgePage?, names: [String]) -> String {
    guard let page, !names.isEmpty else { return "" }
    let messages = "roost_bridge_messages_total"
    var text =
      "# HELP \(messages) Records and messages of bridges, by what became of them.\n# TYPE \(messages) counter\n"
    for (bridge, name) in names.enumerated() {
      for entry in outcomes {
        let labels = "bridge=\"\(name)\",direction=\"\(entry.direction)\",outcome=\"\(entry.outcome)\""
        text += "\(messages){\(labels)} \(page[bridge, entry.count])\n"
      }
    }
    let lag = "roost_bridge_lag"
    text +=
      "# HELP \(lag) Records that wait to be published, and messages that wait to be written.\n# TYPE \(lag) gauge\n"
    for (bridge, name) in names.enumerated() {
      text += "\(lag){bridge=\"\(name)\",direction=\"in\"} \(page[bridge, .inLag])\n"
      text += "\(lag){bridge=\"\(name)\",direction=\"out\"} \(page[bridge, .outLag])\n"
    }
    let isUp = "roost_bridge_up"
    text += "# HELP \(isUp) 1 while the process of the bridge runs here and Redis is in reach.\n# TYPE \(isUp) gauge\n"
    for (bridge, name) in names.enumerated() { text += "\(isUp){bridge=\"\(name)\"} \(page[bridge, .isUp])\n" }
    return text
  }
}
