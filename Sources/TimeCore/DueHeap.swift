/// Keeps items and the moments at which they are due, in the unit of whatever clock its owner reads; pure.
///
/// A binary heap: adding and taking cost O(log n).
public struct DueHeap<Item> {
  @usableFromInline var entries: [(moment: UInt64, item: Item)] = []

  /// Makes an empty heap, which takes no memory.
  @inlinable
  public init() {}

  /// Entries, whether due or not.
  @inlinable
  public var count: Int { entries.count }

  /// The earliest moment; nil: there is no entry.
  @inlinable
  public var earliest: UInt64? { entries.first?.moment }

  /// Adds an item.
  @inlinable
  public mutating func add(_ item: Item, at moment: UInt64) {
    entries.append((moment, item))
    var i = entries.count - 1
    while i > 0, entries[i].moment < entries[(i - 1) / 2].moment {
      entries.swapAt(i, (i - 1) / 2)
      i = (i - 1) / 2
    }
  }

  /// Takes out the earliest entry if it is due at `now`, or returns nil.
  @inlinable
  public mutating func popDue(at now: UInt64) -> (moment: UInt64, item: Item)? {
    guard let first = entries.first, first.moment <= now else { return nil }
    entries.swapAt(0, entries.count - 1)
    entries.removeLast()
    var i = 0
    while true {
      var least = i
      for child in [2 * i + 1, 2 * i + 2] where child < entries.count && entries[child].moment < entries[least].moment {
        least = child
      }
      guard least != i else { return first }
      entries.swapAt(i, least)
      i = least
    }
  }

  /// Takes out whatever `isStale` says, at the cost of sorting what stays.
  public mutating func removeAll(where isStale: (Item, UInt64) -> Bool) {
    entries.removeAll { isStale($0.item, $0.moment) }
    // What is sorted is a heap.
    entries.sort { $0.moment < $1.moment }
  }

  /// Gives the memory back when there is no entry.
  public mutating func shrink() {
    if entries.isEmpty { entries = [] }
  }
}

extension DueHeap: Sendable where Item: Sendable {}
