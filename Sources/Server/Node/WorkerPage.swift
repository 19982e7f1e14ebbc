import CSystem
import Glibc
import LoopCore

/// A page of memory that all workers of a port share: each writes its counts into its own row, any reads them all.
///
/// Words are written whole, and a scrape that sees some of them a second older than others is still a scrape. A worker that
/// takes the place of one that has ended goes on counting where that one stopped: what only grows never falls.
public final class WorkerPage {
  public let index: Int
  let count: Int
  private let words: UnsafeMutablePointer<UInt64>
  /// What earlier workers in this place have counted; 0 for what does not only grow.
  private var inherited: [UInt64] = []

  /// Makes the page's file, which children inherit. Returns its descriptor.
  static func makeFile(workers: Int) throws(SystemError) -> Int32 {
    let descriptor = memfd_create("roost-workers", 0)
    guard descriptor >= 0, ftruncate(descriptor, byteCount(workers)) == 0 else { throw SystemError("memfd_create") }
    return descriptor
  }

  /// Opens the page as its maker, who has no row.
  convenience init?(workers: Int, descriptor: Int32) { self.init(index: 0, count: workers, descriptor: descriptor) }

  private static func byteCount(_ workers: Int) -> Int { workers * Count.words * 8 }

  /// Opens the page as the worker of a row. Nil when the descriptor is none of such a page.
  init?(index: Int, count: Int, descriptor: Int32) {
    self.index = index
    self.count = count
    let memory = mmap(nil, WorkerPage.byteCount(count), PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0)
    guard let memory, memory != MAP_FAILED else { return nil }
    // Safe because the mapping has room for `count` rows of words and lives as long as the process.
    words = memory.assumingMemoryBound(to: UInt64.self)
    inherited = (0..<Count.words).map { Count.isLevel($0) ? 0 : words[index * Count.words + $0] }
  }

  /// Writes this worker's row.
  func write(_ counts: [UInt64]) {
    for (i, value) in counts.prefix(Count.words).enumerated() {
      words[index * Count.words + i] = value &+ inherited[i]
    }
  }

  /// Sets to 0 what a worker that has ended had: its connections, rooms and memory. What it counted stays.
  func clearLevels(of worker: Int) {
    for i in 0..<Count.words where Count.isLevel(i) { words[worker * Count.words + i] = 0 }
  }

  /// Counts a worker that has ended for good, its levels cleared, among those that reach Redis: it misses nothing there.
  func retire(_ worker: Int) { words[worker * Count.words + Count.redisUp.rawValue] = 1 }

  /// Adds up the rows of all workers.
  func sums() -> [UInt64] {
    (0..<Count.words).map { word in (0..<count).reduce(0) { $0 &+ words[$1 * Count.words + word] } }
  }
}
