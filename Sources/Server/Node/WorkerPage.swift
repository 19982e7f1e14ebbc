import CSystem
import Glibc
import LoopCore

/// A page of memory that all workers of a port share: each writes its counts into its own row, any reads them all.
///
/// Words are written whole, and a scrape that sees some of them a second older than others is still a scrape.
public final class WorkerPage {
  /// The environment variables by which a supervisor tells a worker who it is.
  static let indexVariable = "ROOST_WORKER_INDEX"
  static let countVariable = "ROOST_WORKER_COUNT"
  static let descriptorVariable = "ROOST_WORKER_PAGE"

  public let index: Int
  let count: Int
  private let words: UnsafeMutablePointer<UInt64>

  /// Opens the page that the supervisor left in the environment, or returns nil when there is no supervisor.
  public static func inherited(_ environment: [String: String]) -> WorkerPage? {
    guard let index = environment[indexVariable].flatMap(Int.init),
      let count = environment[countVariable].flatMap(Int.init),
      let descriptor = environment[descriptorVariable].flatMap(Int32.init), (0..<count).contains(index)
    else { return nil }
    return WorkerPage(index: index, count: count, descriptor: descriptor)
  }

  /// Makes the page's file, which children inherit. Returns its descriptor.
  static func makeFile(workers: Int) throws(SystemError) -> Int32 {
    let descriptor = memfd_create("roost-workers", 0)
    guard descriptor >= 0, ftruncate(descriptor, byteCount(workers)) == 0 else { throw SystemError("memfd_create") }
    return descriptor
  }

  private static func byteCount(_ workers: Int) -> Int { workers * Count.words * 8 }

  private init?(index: Int, count: Int, descriptor: Int32) {
    self.index = index
    self.count = count
    let memory = mmap(nil, WorkerPage.byteCount(count), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    // Safe because the mapping has room for `count` rows of words and lives as long as the process.
    words = memory.assumingMemoryBound(to: UInt64.self)
  }

  /// Writes this worker's row.
  func write(_ counts: [UInt64]) {
    for (i, value) in counts.prefix(Count.words).enumerated() { words[index * Count.words + i] = value }
  }

  /// Adds up the rows of all workers.
  func sums() -> [UInt64] {
    (0..<Count.words).map { word in (0..<count).reduce(0) { $0 &+ words[$1 * Count.words + word] } }
  }
}
