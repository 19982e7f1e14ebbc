/// Something that a `NameTable` finds by its name.
protocol Named: AnyObject {
  /// Never changes while the object stands in a table.
  var name: [UInt8] { get }
}

/// Finds objects by the bytes of a name that still lies in a receive buffer: no String, no array, no allocation.
///
/// Open addressing with linear probing; the hash is seeded per table, so that no client can choose names that collide.
/// Confined to the thread that created it.
struct NameTable<Value: Named> {
  private var values: [Value?]
  private var hashes: [UInt64]
  private(set) var count = 0
  private let seed: UInt64

  init(seed: UInt64 = .random(in: 1 ... .max)) {
    values = Array(repeating: nil, count: 16)
    hashes = Array(repeating: 0, count: 16)
    self.seed = seed | 1
  }

  /// Returns the object of that name, or nil. One probe on average.
  func find(_ name: Span<UInt8>) -> Value? {
    let hash = hash(name)
    var slot = Int(truncatingIfNeeded: hash) & (values.count - 1)
    while let value = values[slot] {
      if hashes[slot] == hash, isSame(value.name, name) { return value }
      slot = (slot + 1) & (values.count - 1)
    }
    return nil
  }

  /// Adds an object whose name is not in the table.
  mutating func insert(_ value: Value) {
    if count * 4 >= values.count * 3 { grow() }
    place(value, hash(value.name.span))
    count += 1
  }

  /// Removes the object of that name, if it is there.
  mutating func remove(_ name: [UInt8]) {
    let hash = hash(name.span)
    var slot = Int(truncatingIfNeeded: hash) & (values.count - 1)
    while let value = values[slot] {
      if hashes[slot] == hash, value.name == name {
        empty(slot)
        count -= 1
        return
      }
      slot = (slot + 1) & (values.count - 1)
    }
  }

  /// Moves the objects into a table of their size, when the table has grown far beyond it.
  mutating func shrink() {
    guard values.count > 64, values.count > count * 8 else { return }
    var size = 16
    while size * 3 < count * 8 { size *= 2 }
    rebuild(size)
  }

  /// Calls `body` with every object, in no order. `body` must not change the table.
  func forEach(_ body: (Value) -> Void) { for case let value? in values { body(value) } }

  /// Closes the hole by moving later entries of the same run back, so that no tombstones slow down later searches.
  private mutating func empty(_ start: Int) {
    let mask = values.count - 1
    var hole = start
    var slot = (hole + 1) & mask
    while values[slot] != nil {
      let home = Int(truncatingIfNeeded: hashes[slot]) & mask
      if (slot &- home) & mask >= (slot &- hole) & mask {
        values.swapAt(slot, hole)
        hashes.swapAt(slot, hole)
        hole = slot
      }
      slot = (slot + 1) & mask
    }
    values[hole] = nil
  }

  private mutating func place(_ value: Value, _ hash: UInt64) {
    var slot = Int(truncatingIfNeeded: hash) & (values.count - 1)
    while values[slot] != nil { slot = (slot + 1) & (values.count - 1) }
    values[slot] = value
    hashes[slot] = hash
  }

  private mutating func grow() { rebuild(values.count * 2) }

  private mutating func rebuild(_ size: Int) {
    let old = (values, hashes)
    values = Array(repeating: nil, count: size)
    hashes = Array(repeating: 0, count: size)
    for (i, value) in old.0.enumerated() { if let value { place(value, old.1[i]) } }
  }

  private func hash(_ name: Span<UInt8>) -> UInt64 { NameHash.of(name, seed: seed) }

  private func isSame(_ a: [UInt8], _ b: Span<UInt8>) -> Bool {
    guard a.count == b.count else { return false }
    for i in 0..<b.count where a[i] != b[i] { return false }
    return true
  }
}

/// Hashes names, eight bytes at a time; without the seed nobody can foresee which collide.
enum NameHash {
  @inline(__always)
  static func of(_ name: Span<UInt8>, seed: UInt64) -> UInt64 {
    var state = seed ^ UInt64(truncatingIfNeeded: name.count)
    var i = 0
    while i < name.count {
      var word: UInt64 = 0
      let end = min(i + 8, name.count)
      while i < end {
        word = word << 8 | UInt64(name[i])
        i += 1
      }
      let product = (state ^ word).multipliedFullWidth(by: 0x9E37_79B9_7F4A_7C15)
      state = product.high ^ product.low ^ seed
    }
    let product = state.multipliedFullWidth(by: 0xD6E8_FEB8_6659_FD93)
    return product.high ^ product.low
  }
}
