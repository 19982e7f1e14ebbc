import Synchronization

/// What happens from the moment it was asked for, one element after the other, for one reader.
///
/// Elements wait for a reader that is slow, up to ``Roost/Options/backlogMax`` and ``Roost/Options/backlogBytesMax``. Beyond
/// that the sequence ends, after what waits, with ``ClientError/Code/tooSlow``: nothing is left out silently.
public struct Feed<Element: Sendable>: AsyncSequence, Sendable {
  let stream: AsyncThrowingStream<Element, any Error>
  let backlog: Backlog
  let size: @Sendable (Element) -> Int

  /// Begins to read.
  public func makeAsyncIterator() -> Iterator {
    Iterator(base: stream.makeAsyncIterator(), backlog: backlog, size: size)
  }

  /// Reads the elements of a ``Feed``.
  public struct Iterator: AsyncIteratorProtocol {
    var base: AsyncThrowingStream<Element, any Error>.Iterator
    let backlog: Backlog
    let size: @Sendable (Element) -> Int

    /// Waits for the next element; nil after the last one.
    public mutating func next() async throws -> Element? {
      guard let element = try await base.next() else { return nil }
      backlog.taken(size(element))
      return element
    }
  }
}

/// How much waits for a reader.
final class Backlog: Sendable {
  private let count = Atomic<Int>(0)
  private let bytes = Atomic<Int>(0)
  private let countMax: Int
  private let bytesMax: Int

  init(countMax: Int, bytesMax: Int) { (self.countMax, self.bytesMax) = (countMax, bytesMax) }

  /// Notes that an element waits, if it may.
  func add(_ size: Int) -> Bool {
    let (waiting, held) = (count.load(ordering: .relaxed), bytes.load(ordering: .relaxed))
    guard waiting < countMax, waiting == 0 || held + size <= bytesMax else { return false }
    count.wrappingAdd(1, ordering: .relaxed)
    bytes.wrappingAdd(size, ordering: .relaxed)
    return true
  }

  func taken(_ size: Int) {
    count.wrappingSubtract(1, ordering: .relaxed)
    bytes.wrappingSubtract(size, ordering: .relaxed)
  }
}

/// The readers of one kind of element. Confined to the actor that owns it.
struct Readers<Element: Sendable> {
  private var readers: [UInt64: (continuation: AsyncThrowingStream<Element, any Error>.Continuation, Backlog)] = [:]
  private var lastID: UInt64 = 0
  private let size: @Sendable (Element) -> Int

  init(size: @escaping @Sendable (Element) -> Int) { self.size = size }

  var isEmpty: Bool { readers.isEmpty }

  /// Adds a reader.
  ///
  /// - Parameter ended: called when nobody reads any more.
  mutating func add(_ options: Roost.Options, ended: @escaping @Sendable (UInt64) -> Void) -> Feed<Element> {
    lastID += 1
    let id = lastID
    let backlog = Backlog(countMax: options.backlogMax, bytesMax: options.backlogBytesMax)
    let (stream, continuation) = AsyncThrowingStream.makeStream(of: Element.self, throwing: (any Error).self)
    continuation.onTermination = { _ in ended(id) }
    readers[id] = (continuation, backlog)
    return Feed(stream: stream, backlog: backlog, size: size)
  }

  mutating func remove(_ id: UInt64) { readers[id] = nil }

  /// Gives an element to every reader. One for which too much waits already is ended.
  mutating func give(_ element: Element) {
    guard !readers.isEmpty else { return }
    let bytes = size(element)
    for (id, (continuation, backlog)) in readers {
      if backlog.add(bytes) {
        continuation.yield(element)
      } else {
        readers[id] = nil
        continuation.finish(
          throwing: ClientError(.tooSlow, "too much waited for the reader of this sequence: ask for it anew"))
      }
    }
  }

  /// Ends all readers, after what waits.
  mutating func finish(_ error: ClientError?) {
    for (_, (continuation, _)) in readers { continuation.finish(throwing: error) }
    readers = [:]
  }
}
