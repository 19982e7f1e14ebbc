/// Which records of one partition or queue are done: only what nothing unfinished stands before may be confirmed, so that a
/// crash loses nothing. Pure.
///
/// Records get numbers 0, 1, 2 … in the order in which they came.
public struct AckLedger<Record> {
  private struct Entry {
    let record: Record
    var isSent = false
    var isDone = false
  }

  private var entries: [Entry] = []
  /// Entries before this one are confirmed; they are removed in bulk.
  private var start = 0
  private var firstNumber = 0
  /// The next record to send.
  private var cursor = 0
  /// Records that were sent and not answered.
  public private(set) var inFlight = 0

  public init() {}

  /// Records that are not done.
  public var count: Int { entries.count - start }
  /// Whether every record was sent.
  public var isAllSent: Bool { cursor >= entries.count }

  /// Adds the record that came last.
  public mutating func append(_ record: Record) { entries.append(Entry(record: record)) }

  /// The next record to send, with its number; it counts as sent. Those that are done already are skipped.
  public mutating func next() -> (number: Int, record: Record)? {
    while cursor < entries.count {
      defer { cursor += 1 }
      guard !entries[cursor].isDone else { continue }
      entries[cursor].isSent = true
      inFlight += 1
      return (firstNumber + cursor, entries[cursor].record)
    }
    return nil
  }

  /// The record that `next` would give.
  public var upcoming: Record? { entries[cursor...].first { !$0.isDone }?.record }

  /// Notes that a record is done. Returns the last record that may be confirmed now with all before it, if there is a new one.
  public mutating func finish(_ number: Int) -> Record? {
    let index = number - firstNumber
    guard entries.indices.contains(index), entries[index].isSent, !entries[index].isDone else { return nil }
    entries[index].isDone = true
    inFlight -= 1
    var last: Record?
    while start < entries.count, entries[start].isDone {
      last = entries[start].record
      start += 1
    }
    cursor = max(cursor, start)
    if start > 512, start * 2 > entries.count {
      entries.removeFirst(start)
      firstNumber += start
      cursor -= start
      start = 0
    }
    return last
  }

  /// Notes that a record failed: it is sent again after `rewind`.
  public mutating func fail(_ number: Int) {
    let index = number - firstNumber
    guard entries.indices.contains(index), entries[index].isSent, !entries[index].isDone else { return }
    entries[index].isSent = false
    inFlight -= 1
  }

  /// Begins again with the first record that is not done. Only when nothing is in flight.
  public mutating func rewind() {
    guard inFlight == 0 else { return }
    cursor = start
  }
}
