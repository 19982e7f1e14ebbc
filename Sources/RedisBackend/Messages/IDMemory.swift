import LoopCore
import Realtime

/// Decides when the ids that Redis remembers are to be kept within their bounds (ids.lua), and how many a hash may hold; pure.
///
/// With one master there is one place for the ids of all rooms, and the bound is that of all nodes together. In a cluster a
/// room's ids stand in its slot, so each room is a place of its own, and a node divides the bound among the rooms that it has
/// published ids in.
struct IDMemory {
  /// Bytes that one id takes in Redis: 100 by MEMORY USAGE of a hash of 340,000, 108 by what `used_memory` grows.
  static let bytesPerID = 108
  /// Ids that a node publishes in one place between two looks at it, at most.
  private static let idsPerLook = 1024
  /// A look at every place at least as often while ids are published there, in nanoseconds.
  private static let lookNanoseconds: UInt64 = 60_000_000_000
  /// How long an id must be remembered.
  static let milliseconds = Int(Limits.dedupeMilliseconds)
  /// Life of a hash: an id that came just before a late look at a hash that was as old as it may be lives its time.
  static let lifeMilliseconds = 2 * milliseconds + 120_000
  /// Places that are known at a time. Beyond it all are forgotten, and looked at once more than needed.
  private static let placesMax = 100_000

  private struct Place {
    var count = 0
    var lookDue: UInt64 = 0
    var usedAt: UInt64 = 0
  }

  private let capacity: Int
  private var places: [[UInt8]: Place] = [:]
  private var sweepDue: UInt64 = 0
  /// Ids that Redis has forgotten early because this node looked.
  var forgottenTotal: UInt64 = 0

  /// - Parameter byteCount: what all ids may take in Redis.
  init(byteCount: Int) { capacity = max(2, byteCount / IDMemory.bytesPerID) }

  /// Ids that the newer of a place's two hashes may hold.
  var idsPerHash: Int { max(1, capacity / 2 / max(1, places.count)) }

  /// Notes that an id is about to be published in a place. Returns whether the place is to be looked at before.
  mutating func isLookDue(in place: [UInt8], now: UInt64) -> Bool {
    if now >= sweepDue || places.count >= IDMemory.placesMax { sweep(now) }
    var known = places[place] ?? Place()
    known.count += 1
    known.usedAt = now
    let isDue = now >= known.lookDue || known.count >= min(IDMemory.idsPerLook, max(1, idsPerHash / 8))
    if isDue { (known.count, known.lookDue) = (0, now + IDMemory.lookNanoseconds) }
    places[place] = known
    return isDue
  }

  /// Has every place looked at before the next id: Redis may have lost what it had.
  mutating func forgetPlaces() { places = [:] }

  private mutating func sweep(_ now: UInt64) {
    sweepDue = now + IDMemory.lookNanoseconds
    let life = UInt64(IDMemory.lifeMilliseconds) * 1_000_000
    places = places.count >= IDMemory.placesMax ? [:] : places.filter { $0.value.usedAt + life > now }
  }

  /// The 16 bytes under which an id is remembered: so many of SHA-256, so that nobody can make two with the same.
  static func fingerprint(scope: [UInt8], _ id: [UInt8]) -> [UInt8] {
    Array(
      Digest.sha256([UInt8(truncatingIfNeeded: scope.count >> 8), UInt8(truncatingIfNeeded: scope.count)] + scope + id)
        .prefix(16))
  }
}

/// Whose messages have ids.
enum IDOwner {
  case room([UInt8])
  case audience(Audience)

  /// What keeps the same id in two rooms, or for two audiences, apart.
  var scope: [UInt8] {
    switch self {
    case .room(let name): Array("r:".utf8) + name
    case .audience(.user(let name)): Array("u:".utf8) + name
    case .audience(.everyone): Array("all".utf8)
    }
  }
}

extension RedisKeys {
  /// What comes before `new` and `old` in the keys of the ids: one place for all where there is one master, else one in the
  /// slot of the room or the user.
  func idPlace(of owner: IDOwner) -> [UInt8] {
    guard isSharded else { return allIDs }
    return switch owner {
    case .room(let name): room + name + Array("}:ids:".utf8)
    case .audience(.user(let name)): user + name + Array("}:ids:".utf8)
    case .audience(.everyone): everyoneIDs
    }
  }

  /// Writes the two keys of the ids.
  func writeIDKeys(of owner: IDOwner, to writer: inout CommandWriter) {
    let place = idPlace(of: owner)
    writer.bulk(place, [], "new")
    writer.bulk(place, [], "old")
  }
}
