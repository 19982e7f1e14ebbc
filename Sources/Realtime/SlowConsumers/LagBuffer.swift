import ClientProtocol
import JSONCore

/// What a room's lagging members have still to get: one buffer however many they are; pure.
///
/// Entries are numbered as they come. Past its limit the oldest go; where messages are conflated, a message goes as
/// soon as a newer one of its key comes.
struct LagBuffer {
  struct Entry {
    let sequence: UInt64
    let kind: EventKind
    /// The message's offset, 0 for notices.
    let offset: UInt64
    let origin: SlabID?
    let key: [UInt8]?
    /// Empty once a newer message has replaced it.
    var payload: [UInt8]
    var isReplaced = false

    /// What it takes: the bytes, and the memory that keeping them costs.
    var cost: Int { isReplaced ? 0 : payload.count + (key?.count ?? 0) + Limits.lagEntryOverheadBytes }
  }

  /// Ascending by sequence; what stands before `head` is gone and waits to be cleared away in one go.
  private var entries: [Entry] = []
  private var head = 0
  private var replacedCount = 0
  /// The newest message of each key, by sequence.
  private var newest: [[UInt8]: UInt64] = [:]
  /// The number that the next entry gets.
  private(set) var nextSequence: UInt64 = 0
  /// Entries below it were dropped, if they were not replaced before.
  private(set) var keptFrom: UInt64 = 0
  /// Notices below it were dropped: who lacks them does not know who is there.
  private(set) var noticesKeptFrom: UInt64 = 0
  /// The highest offset among what was dropped; a member below it misses something.
  private(set) var droppedThrough: UInt64 = 0
  private var lastOffset: UInt64 = 0
  /// Bytes that it takes.
  private(set) var byteCount = 0

  var isEmpty: Bool { head == entries.count }

  /// Adds an entry. One with a key replaces the one before it of that key.
  mutating func append(
    _ kind: EventKind, offset: UInt64, origin: SlabID?, key: [UInt8]?, payload: [UInt8]
  ) {
    if let key {
      if let old = newest[key] { replace(old) }
      newest[key] = nextSequence
    }
    let entry = Entry(
      sequence: nextSequence, kind: kind, offset: offset, origin: origin, key: key,
      payload: payload)
    entries.append(entry)
    byteCount += entry.cost
    nextSequence += 1
    if offset > 0 { lastOffset = offset }
  }

  /// Drops the oldest entries until at most `bytesMax` bytes are left.
  mutating func trim(to bytesMax: Int) {
    while byteCount > bytesMax, !isEmpty { dropOldest() }
  }

  /// Drops everything, without counting it as missed: what comes next begins a new epoch.
  mutating func begin() {
    entries = []
    head = 0
    replacedCount = 0
    newest = [:]
    byteCount = 0
    keptFrom = nextSequence
    noticesKeptFrom = nextSequence
    droppedThrough = 0
    lastOffset = 0
  }

  /// The entries from `sequence` on, those that were replaced included.
  func entries(from sequence: UInt64) -> ArraySlice<Entry> { entries[place(of: sequence)...] }

  private mutating func replace(_ sequence: UInt64) {
    let index = place(of: sequence)
    guard index < entries.count, entries[index].sequence == sequence else { return }
    byteCount -= entries[index].cost
    entries[index].payload = []
    entries[index].isReplaced = true
    replacedCount += 1
    guard replacedCount > 64, replacedCount * 2 > entries.count - head else { return }
    entries = entries[head...].filter { !$0.isReplaced }
    head = 0
    replacedCount = 0
  }

  /// Drops the oldest entry, and the notices after it, which mean little without what came before them.
  private mutating func dropOldest() {
    repeat {
      let entry = entries[head]
      byteCount -= entry.cost
      if entry.isReplaced { replacedCount -= 1 }
      if entry.offset == 0 { noticesKeptFrom = entry.sequence + 1 }
      if let key = entry.key, newest[key] == entry.sequence { newest[key] = nil }
      entries[head].payload = []
      head += 1
    } while !isEmpty && (entries[head].isReplaced || entries[head].offset == 0)
    keptFrom = isEmpty ? nextSequence : entries[head].sequence
    droppedThrough = isEmpty ? lastOffset : entries[head].offset - 1
    guard head > 64, head * 2 > entries.count else { return }
    entries.removeFirst(head)
    head = 0
  }

  /// The index of the first entry that is not below `sequence`.
  private func place(of sequence: UInt64) -> Int {
    var (low, high) = (head, entries.count)
    while low < high {
      let middle = (low + high) / 2
      if entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
    }
    return low
  }
}

/// Finds what a message is about.
enum ConflationKey {
  /// The value of the member `name` of a message, as it is written; empty when it has none, or is no JSON.
  static func value(of name: [UInt8]?, in payload: Span<UInt8>, _ kind: EventKind) -> [UInt8] {
    guard let name, kind != .binaryMessage else { return [] }
    var scanner = JSONScanner(payload)
    while true {
      let next: JSONMember?
      // A payload that is no JSON has no key: it stands for itself.
      do throws(JSONError) { next = try scanner.nextMember() } catch { return [] }
      guard let member = next else { return [] }
      let key = payload.extracting(member.key.contents)
      let isSame = member.key.hasEscapes ? member.key.decoded(in: payload) == name : equals(key, name)
      if isSame { return [UInt8](copying: payload.extracting(member.value)) }
    }
  }

  private static func equals(_ span: Span<UInt8>, _ name: [UInt8]) -> Bool {
    guard span.count == name.count else { return false }
    for index in span.indices where span[index] != name[index] { return false }
    return true
  }
}
