import Synchronization

/// Carries elements from the node's thread to a closure that may be slow, in order. What does not fit is dropped and
/// counted.
final class EventFeed<Element: Sendable>: Sendable {
  private struct Entry: Sendable {
    let element: Element
    let bytes: Int
    /// Elements that were dropped before this one.
    let missed: Int
  }

  private let continuation: AsyncStream<Entry>.Continuation
  private let count = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)
  private let missed = Atomic<Int>(0)
  private let dropped = Atomic<UInt64>(0)
  private let countMax: Int
  private let bytesMax: Int

  /// - Parameter take: gets each element, and how many were dropped before it.
  init(countMax: Int, bytesMax: Int, _ take: @escaping @Sendable (Element, _ missed: Int) async -> Void) {
    (self.countMax, self.bytesMax) = (countMax, bytesMax)
    let (stream, continuation) = AsyncStream.makeStream(of: Entry.self)
    self.continuation = continuation
    Task { [weak self] in
      for await entry in stream {
        self?.taken(entry)
        await take(entry.element, entry.missed)
      }
    }
  }

  /// Elements that were dropped since the start.
  var droppedCount: UInt64 { dropped.load(ordering: .relaxed) }

  /// Gives an element to the closure. The node's thread calls it, alone.
  func offer(_ element: Element, bytes size: Int) {
    let waiting = bytes.load(ordering: .relaxed)
    guard count.load(ordering: .relaxed) < countMax, waiting == 0 || waiting + size <= bytesMax else {
      missed.wrappingAdd(1, ordering: .relaxed)
      dropped.wrappingAdd(1, ordering: .relaxed)
      return
    }
    count.wrappingAdd(1, ordering: .relaxed)
    bytes.wrappingAdd(size, ordering: .relaxed)
    continuation.yield(Entry(element: element, bytes: size, missed: missed.exchange(0, ordering: .relaxed)))
  }

  /// Gives no more after what waits.
  func finish() { continuation.finish() }

  private func taken(_ entry: Entry) {
    count.wrappingSubtract(1, ordering: .relaxed)
    bytes.wrappingSubtract(entry.bytes, ordering: .relaxed)
  }
}
