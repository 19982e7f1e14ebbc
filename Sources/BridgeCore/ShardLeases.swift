import TimeCore

/// Which shards of a bridge's rooms this process may write. Pure.
public struct ShardLeases {
  /// Shards of a bridge's rooms: as many processes can share one at the most.
  public static let count = 16
  /// Life of a lease: with a renewal every second another process goes on within 8 s of a crash.
  public static let lifeMilliseconds = 6000
  public static let renewMilliseconds = 1000
  /// How long a lease is trusted after it was asked for: what was sent before arrives before another process begins.
  public static let trust = Interval.milliseconds(3500)

  public private(set) var held: Set<Int> = []
  /// Held, and given back as soon as nothing of them is on its way.
  public private(set) var leaving: Set<Int> = []
  private var trustedUntil = Instant.zero

  public init() {}

  /// The shard of a room, the same in every process (FNV-1a, 64 bits).
  public static func shard(of room: [UInt8]) -> Int {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in room { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return Int((hash ^ hash >> 32) % UInt64(count))
  }

  /// Whether messages of a shard may be sent now.
  public func mayWrite(_ shard: Int, at now: Instant) -> Bool {
    now < trustedUntil && held.contains(shard) && !leaving.contains(shard)
  }

  /// Whether nobody else can have a shard now.
  public func isTrusted(at now: Instant) -> Bool { now < trustedUntil }

  /// Takes the answer to a renewal. Returns the shards that are new, and those that are gone.
  ///
  /// - Parameters:
  ///   - fair: how many are this process's share.
  ///   - asked: when the renewal was sent.
  public mutating func renew(_ shards: [Int], fair: Int, asked: Instant) -> (gained: Set<Int>, lost: Set<Int>) {
    let now = Set(shards)
    let (gained, lost) = (now.subtracting(held), held.subtracting(now))
    held = now
    leaving.formIntersection(now)
    trustedUntil = asked + Self.trust
    for shard in held.subtracting(leaving).sorted().dropFirst(max(0, fair)) { leaving.insert(shard) }
    return (gained, lost)
  }

  /// Gives everything back, when the process ends.
  public mutating func leaveAll() { leaving = held }
}
