/// The users of a room as this node has announced them to its members: who is there by all notices so far.
///
/// Notices are kept nowhere: they are lost with a link, and come twice from a node that asserts its members again. A node
/// that knows what it announced drops the second one, and makes up for a lost one by comparing with the broker.
///
/// A table of small integers over one array of names: about 20 bytes for a user, and no table at all for a few. Pure.
struct AnnouncedUsers {
  /// Names one behind the other, each after its length in two bytes; the top bit marks one that was removed.
  private var names: [UInt8] = []
  /// Open addressing: where a name begins, plus 1. Zero: free. Empty while `count` is small enough for a walk.
  private var slots: [UInt32] = []
  // Half words, because every room with Redis has one of these.
  /// Slots in use, those of removed names among them.
  private var usedSlots: UInt32 = 0
  private var userCount: UInt32 = 0
  /// Bytes of `names` that belong to names which were removed.
  private var deadBytes: UInt32 = 0

  var count: Int { Int(userCount) }

  /// One seed for all, drawn once: no client can choose names that collide.
  private static let seed = UInt64.random(in: 1 ... .max)
  private static let removedBit: UInt8 = 0x80
  /// Names up to which a walk over their bytes is as fast as a table.
  private static let walkedMax = 8

  init() {}

  init(_ users: [[UInt8]]) { for user in users { insert(user.span) } }

  func contains(_ name: Span<UInt8>) -> Bool { find(name) != nil }

  /// Adds a user. Returns false when it was there already.
  @discardableResult
  mutating func insert(_ name: Span<UInt8>) -> Bool {
    // A user's name has at most 200 bytes; what is no name is nobody.
    guard name.count > 0, name.count < 0x7FFF, find(name) == nil else { return false }
    let start = names.count
    reserve(2 + name.count)
    names.append(UInt8(name.count >> 8))
    names.append(UInt8(name.count & 0xFF))
    names.append(copying: name)
    userCount += 1
    // Removed names use slots as well: whatever the count, a table must keep free ones, or a search would never end.
    if slots.isEmpty ? count > AnnouncedUsers.walkedMax : (Int(usedSlots) + 1) * 4 > slots.count * 3 {
      rebuild()
    } else if !slots.isEmpty {
      place(start)
    }
    return true
  }

  /// Removes a user. Returns false when it was not there.
  @discardableResult
  mutating func remove(_ name: Span<UInt8>) -> Bool {
    guard let start = find(name) else { return false }
    names[start] |= AnnouncedUsers.removedBit
    deadBytes += UInt32(2 + name.count)
    userCount -= 1
    if deadBytes > 256, Int(deadBytes) * 2 > names.count { rebuild() }
    return true
  }

  /// Makes room for more bytes of names: for a quarter more than there are, not for as much again, as an array does.
  private mutating func reserve(_ byteCount: Int) {
    let needed = names.count + byteCount
    if needed > names.capacity { names.reserveCapacity(needed + needed / 4) }
  }

  /// Calls `body` with every user, in the order in which they came.
  func forEach(_ body: ([UInt8]) -> Void) {
    walk { start, isPresent in if isPresent { body(Array(names[(start + 2)..<(start + 2 + length(at: start))])) } }
  }

  /// The users between two names, in the order in which they came; nil: without that end. Looks at every name, and makes
  /// arrays of those alone which it returns.
  func users(after first: [UInt8]?, before last: [UInt8]?) -> [[UInt8]] {
    var found: [[UInt8]] = []
    walk { start, isPresent in
      guard isPresent else { return }
      let name = names[(start + 2)..<(start + 2 + length(at: start))]
      if let first, !AnnouncedUsers.precedes(first[...], name) { return }
      if let last, !AnnouncedUsers.precedes(name, last[...]) { return }
      found.append(Array(name))
    }
    return found
  }

  private static func precedes(_ a: ArraySlice<UInt8>, _ b: ArraySlice<UInt8>) -> Bool {
    a.lexicographicallyPrecedes(b)
  }

  // MARK: Table

  private func find(_ name: Span<UInt8>) -> Int? {
    guard !slots.isEmpty else {
      var found: Int?
      walk { start, isPresent in if isPresent, isName(name, at: start) { found = start } }
      return found
    }
    var slot = home(of: NameHash.of(name, seed: AnnouncedUsers.seed))
    while slots[slot] != 0 {
      let start = Int(slots[slot]) - 1
      if names[start] & AnnouncedUsers.removedBit == 0, isName(name, at: start) { return start }
      slot = (slot + 1) & (slots.count - 1)
    }
    return nil
  }

  private func home(of hash: UInt64) -> Int { Int(truncatingIfNeeded: hash) & (slots.count - 1) }

  private func length(at start: Int) -> Int {
    Int(names[start] & ~AnnouncedUsers.removedBit) << 8 | Int(names[start + 1])
  }

  private func isName(_ name: Span<UInt8>, at start: Int) -> Bool {
    guard length(at: start) == name.count else { return false }
    for i in 0..<name.count where names[start + 2 + i] != name[i] { return false }
    return true
  }

  private func walk(_ body: (_ start: Int, _ isPresent: Bool) -> Void) {
    var start = 0
    while start < names.count {
      body(start, names[start] & AnnouncedUsers.removedBit == 0)
      start += 2 + length(at: start)
    }
  }

  private func home(at start: Int) -> Int {
    home(
      of: NameHash.of(names.span.extracting((start + 2)..<(start + 2 + length(at: start))), seed: AnnouncedUsers.seed))
  }

  private mutating func place(_ start: Int) {
    var slot = home(at: start)
    let mask = slots.count - 1
    while slots[slot] != 0 { slot = (slot + 1) & mask }
    slots[slot] = UInt32(start + 1)
    usedSlots += 1
  }

  /// Writes the names that are left into arrays of their size and a quarter.
  private mutating func rebuild() {
    var kept: [UInt8] = []
    let keptBytes = names.count - Int(deadBytes)
    kept.reserveCapacity(keptBytes + keptBytes / 4)
    walk { start, isPresent in if isPresent { kept += names[start..<(start + 2 + length(at: start))] } }
    names = kept
    deadBytes = 0
    slots = []
    usedSlots = 0
    guard count > AnnouncedUsers.walkedMax else { return }
    var size = 16
    while size * 2 < count * 4 { size *= 2 }
    slots = Array(repeating: 0, count: size)
    var starts: [Int] = []
    walk { start, _ in starts.append(start) }
    for start in starts { place(start) }
  }
}
