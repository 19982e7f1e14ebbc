/// Remembers what the first of several messages with one id was answered with, within a bounded memory; pure.
///
/// An id is remembered for its time, unless more ids than fit come meanwhile: then the oldest are forgotten first, and
/// counted. Ids are kept as fingerprints of 128 bits under a key of this process, so their length costs nothing and nobody
/// can make two that look alike.
///
/// Entries stand in a ring in the order in which they came, in chunks that are allocated as they are first used. An index of
/// many small tables by open addressing finds them; each table grows by itself, so no insertion moves more than a few
/// thousand numbers, however many ids are remembered.
struct DedupeMemory {
  /// What identifies a message.
  struct Fingerprint: Hashable {
    fileprivate let high: UInt64
    fileprivate let low: UInt64
  }

  /// What a repetition is answered with: two numbers, whatever they mean to the caller.
  struct Answer: Equatable {
    var first: UInt64
    var second: UInt64
  }

  private struct Entry {
    var id: Fingerprint
    var answer: Answer
    /// Milliseconds of the caller's clock; 0 once another entry has taken its place in the index.
    var expires: UInt64
  }

  /// Bytes that one id takes, its share of the index included: 40 for the entry, and 4 for each place in a table that is
  /// three eighths to three quarters full.
  static let bytesPerID = MemoryLayout<Entry>.stride + 11

  /// Entries that are allocated at once: 160 KiB, some 20 µs.
  private static let chunkSize = 4096
  /// Ids for each table of the index, roughly, when the memory is full: a table of twice as many grows in some 30 µs.
  private static let idsPerTable = 2048

  /// Ids that are remembered at most.
  let capacity: Int
  /// Milliseconds for which an id is remembered.
  private let milliseconds: UInt64
  /// Ids that were forgotten before their time because others came.
  private(set) var forgottenTotal: UInt64 = 0
  /// Ids that are remembered now, those included whose time is up and which were not looked at since.
  private(set) var count = 0

  /// By place in the ring, divided by the size of a chunk.
  private var chunks: [[Entry]] = []
  /// Where the oldest entry stands; the newest stands `count` places further, around the end.
  private var head = 0
  private var tables: [Table]
  private var firstHasher = Hasher()
  private var secondHasher = Hasher()

  /// - Parameters:
  ///   - byteCount: what it may take in all.
  ///   - milliseconds: how long an id is remembered at most.
  init(byteCount: Int, milliseconds: UInt64) {
    capacity = max(1, min(byteCount / Self.bytesPerID, Int(Int32.max)))
    self.milliseconds = milliseconds
    var tableCount = 1
    while tableCount * Self.idsPerTable < capacity, tableCount < 1 << 20 { tableCount *= 2 }
    tables = [Table](repeating: Table(), count: tableCount)
    firstHasher.combine(UInt64.random(in: 0 ... .max))
    secondHasher.combine(UInt64.random(in: 0 ... .max))
  }

  /// The fingerprint of a key within a scope, such as a room; `kind` keeps scopes of different kinds apart.
  func fingerprint(kind: UInt8, scope: [UInt8], _ key: [UInt8]) -> Fingerprint {
    func hash(_ hasher: Hasher) -> UInt64 {
      var hasher = hasher
      hasher.combine(kind)
      hasher.combine(scope.count)
      scope.withUnsafeBytes { hasher.combine(bytes: $0) }  // Safe because the bytes are only read.
      key.withUnsafeBytes { hasher.combine(bytes: $0) }  // Safe because the bytes are only read.
      return UInt64(truncatingIfNeeded: hasher.finalize())
    }
    return Fingerprint(high: hash(firstHasher), low: hash(secondHasher))
  }

  /// What the id was answered with first; nil when it is not remembered at `now` milliseconds.
  func find(_ id: Fingerprint, at now: UInt64) -> Answer? {
    guard let slot = slot(of: id) else { return nil }
    let entry = self[Int(tables[table(of: id)].places[slot]) - 1]
    return entry.expires > now ? entry.answer : nil
  }

  /// Remembers the answer to an id that `find` did not find.
  mutating func remember(_ id: Fingerprint, _ answer: Answer, at now: UInt64) {
    if let slot = slot(of: id) { release(id, slot) }
    if count == capacity { dropOldest(at: now) }
    let place = (head + count) % capacity
    put(Entry(id: id, answer: answer, expires: now + milliseconds), at: place)
    count += 1
    insert(id, place)
  }

  /// Forgets ids whose time is up, at most so many at once, so that no call takes long.
  mutating func expire(at now: UInt64, atMost max: Int = 50_000) {
    var left = max
    while count > 0, left > 0, self[head].expires <= now {
      dropOldest(at: now)
      left -= 1
    }
    guard count == 0, !chunks.isEmpty else { return }
    chunks = []
    head = 0
    tables = [Table](repeating: Table(), count: tables.count)
  }

  // MARK: The ring

  private subscript(place: Int) -> Entry { chunks[place / Self.chunkSize][place % Self.chunkSize] }

  private mutating func put(_ entry: Entry, at place: Int) {
    let (chunk, index) = (place / Self.chunkSize, place % Self.chunkSize)
    if chunk == chunks.count {
      chunks.append([])
      chunks[chunk].reserveCapacity(min(Self.chunkSize, capacity - chunk * Self.chunkSize))
    }
    if index == chunks[chunk].count { chunks[chunk].append(entry) } else { chunks[chunk][index] = entry }
  }

  private mutating func dropOldest(at now: UInt64) {
    let oldest = self[head]
    if oldest.expires > now { forgottenTotal &+= 1 }
    // An entry that another has replaced is in no table.
    if oldest.expires > 0, let slot = slot(of: oldest.id) { remove(oldest.id, slot) }
    head = (head + 1) % capacity
    count -= 1
  }

  /// Takes an entry whose time is up out of the index, because its id comes anew. Its place is given back in its turn.
  private mutating func release(_ id: Fingerprint, _ slot: Int) {
    let place = Int(tables[table(of: id)].places[slot]) - 1
    remove(id, slot)
    chunks[place / Self.chunkSize][place % Self.chunkSize].expires = 0
  }

  // MARK: The index

  private struct Table {
    /// Places in the ring, counted from 1; 0: free. A power of two of them, or none.
    var places: [UInt32] = []
    var count = 0
  }

  private func table(of id: Fingerprint) -> Int { Int(truncatingIfNeeded: id.high) & (tables.count - 1) }

  private static func home(of id: Fingerprint, _ mask: Int) -> Int { Int(truncatingIfNeeded: id.low) & mask }

  private func slot(of id: Fingerprint) -> Int? {
    let number = table(of: id)
    let mask = tables[number].places.count - 1
    guard mask > 0 else { return nil }
    var slot = Self.home(of: id, mask)
    while true {
      let place = tables[number].places[slot]
      if place == 0 { return nil }
      if self[Int(place) - 1].id == id { return slot }
      slot = (slot + 1) & mask
    }
  }

  private mutating func insert(_ id: Fingerprint, _ place: Int) {
    let number = table(of: id)
    if (tables[number].count + 1) * 4 > tables[number].places.count * 3 { grow(number) }
    settle(UInt32(place + 1), id, in: &tables[number].places)
    tables[number].count += 1
  }

  private func settle(_ place: UInt32, _ id: Fingerprint, in places: inout [UInt32]) {
    let mask = places.count - 1
    var slot = Self.home(of: id, mask)
    while places[slot] != 0 { slot = (slot + 1) & mask }
    places[slot] = place
  }

  private mutating func grow(_ number: Int) {
    var larger = [UInt32](repeating: 0, count: max(8, tables[number].places.count * 2))
    for place in tables[number].places where place != 0 { settle(place, self[Int(place) - 1].id, in: &larger) }
    tables[number].places = larger
  }

  /// Frees a slot and moves up what stood behind it only because it was taken (Knuth, 6.4, algorithm R).
  private mutating func remove(_ id: Fingerprint, _ slot: Int) {
    let number = table(of: id)
    let mask = tables[number].places.count - 1
    var (hole, next) = (slot, (slot + 1) & mask)
    while tables[number].places[next] != 0 {
      let place = tables[number].places[next]
      let home = Self.home(of: self[Int(place) - 1].id, mask)
      if (next - home) & mask >= (next - hole) & mask {
        tables[number].places[hole] = place
        hole = next
      }
      next = (next + 1) & mask
    }
    tables[number].places[hole] = 0
    tables[number].count -= 1
  }
}
