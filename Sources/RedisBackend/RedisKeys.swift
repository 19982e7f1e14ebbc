import Realtime

/// Names the keys and channels. docs/redis.md lists them.
///
/// A key is written as three parts: a ready prefix, a name, an end. The braces make a cluster keep all keys of a room,
/// of a user, of a node, in one slot; the letter before the name keeps the tag from being empty or from ending early at
/// its first byte.
struct RedisKeys {
  /// Before a room's name; its keys end in `}:meta`, `}:log`, `}:members`, `}:users`, `}:order`, `}:extras`, `}:graces`, in
  /// a cluster `}:ids:new`, `}:ids:old` and `}:events`, its channel in `}:ch`.
  let room: [UInt8]
  /// Before a user's name; ends in `}:connections`, the channel in `}:ch`.
  let user: [UInt8]
  /// Before a node's id; ends in `}:connections`, `}:rooms`, its channels in `}:ch` and `}:probe`.
  let node: [UInt8]
  /// Before an incoming hook's name; ends in `}:new` and `}:old`.
  let hook: [UInt8]
  /// Before a bridge's name; ends in `}:leases` and `}:processes`. How far it has written a room stands in the room's slot.
  let bridge: [UInt8]
  let leases: [UInt8]
  let swept: [UInt8]
  /// Nodes that have ended and handed their members over.
  let leaving: [UInt8]
  /// Before a node's id: its report.
  let report: [UInt8]
  /// Before a node's id: the process that has the id.
  let owner: [UInt8]
  /// Behind sentinels: the leader epoch of the server.
  let leaderEpoch: [UInt8]
  /// The queue of events of rooms, and the process that delivers them.
  let events: [UInt8]
  let eventsLease: [UInt8]
  /// The state of the scan for members of nodes without a lease.
  let orphanScan: [UInt8]
  /// A pattern of the keys in which members stand, and of a few others.
  let membersPattern: [UInt8]
  /// What is revoked, and until when.
  let revoked: [UInt8]
  /// The channel of what is for everyone.
  let everyone: [UInt8]
  /// Before `new` and `old`: the ids of all messages, where there is one master.
  let allIDs: [UInt8]
  /// The same in a cluster, of what is for everyone.
  let everyoneIDs: [UInt8]
  /// Whether the keys of a room, of a user, of everyone may be with different masters.
  let isSharded: Bool

  /// Counts versions of Roost that cannot share keys. It is in every key and channel after the setting `redis-prefix`,
  /// so that nodes of two such versions form two clusters instead of one that is wrong. The first version had no number.
  static let schema = 3

  /// - Parameter schema: nil for the keys of the first.
  init(prefix: String, schema: Int? = RedisKeys.schema, isSharded: Bool = false) {
    let prefix = schema.map { "\(prefix):\($0)" } ?? prefix
    self.isSharded = isSharded
    func key(_ end: String) -> [UInt8] { Array((prefix + end).utf8) }
    room = key(":{r:")
    user = key(":{u:")
    node = key(":{n:")
    hook = key(":{h:")
    bridge = key(":{b:")
    leases = key(":{nodes}:leases")
    swept = key(":{nodes}:swept")
    leaving = key(":{nodes}:leaving")
    report = key(":{nodes}:report:")
    owner = key(":{nodes}:owner:")
    orphanScan = key(":{nodes}:orphan_scan")
    leaderEpoch = key(":{nodes}:leader_epoch")
    events = key(":{events}:queue")
    eventsLease = key(":{events}:lease")
    membersPattern = RedisKeys.literally(Array(prefix.utf8)) + Array(":{[run]:*}:[mcr]*".utf8)
    revoked = key(":{revoked}")
    everyone = key(":{all}:ch")
    allIDs = key(":{ids}:")
    everyoneIDs = key(":{all}:ids:")
  }

  func roomChannel(_ name: [UInt8]) -> [UInt8] { RedisKeys.channel(room, name) }
  func userChannel(_ name: [UInt8]) -> [UInt8] { RedisKeys.channel(user, name) }
  /// The channel of what other nodes ask a node, and of their answers to it.
  func nodeChannel(_ id: [UInt8]) -> [UInt8] { RedisKeys.channel(node, id) }

  /// The channel of a node's subscription health check. In a cluster the number spreads a node's channels over the slots.
  func probeChannel(_ id: [UInt8], _ number: Int = 0) -> [UInt8] {
    node + id + Array((number == 0 ? "}:probe" : ":\(number)}:probe").utf8)
  }

  /// The canary key that a node writes beside its health check: while it is there, the master has lost nothing.
  func mark(of probeChannel: [UInt8]) -> [UInt8] { Array(probeChannel.dropLast(5)) + Array("mark".utf8) }

  /// Whether a channel is that of a node's subscription health check.
  func isProbe(_ channel: [UInt8]) -> Bool {
    channel.starts(with: node) && channel.suffix(7) == Array("}:probe".utf8)[...]
  }

  /// The pattern of the channels of all rooms whose name begins with `prefix`. Rooms' channels have a beginning of their
  /// own, so their common end need not be compared.
  func roomPattern(_ prefix: [UInt8]) -> [UInt8] {
    room + RedisKeys.literally(prefix) + [UInt8(ascii: "*")]
  }

  /// The pattern that fits this name alone: a backslash before what Redis takes for more than itself, inside and outside
  /// of brackets.
  static func literally(_ name: [UInt8]) -> [UInt8] {
    name.flatMap { "*?[]^-\\".utf8.contains($0) ? [UInt8(ascii: "\\"), $0] : [$0] }
  }

  private static func channel(_ prefix: [UInt8], _ name: [UInt8]) -> [UInt8] {
    var channel: [UInt8] = []
    channel.reserveCapacity(prefix.count + name.count + 4)
    channel += prefix
    channel += name
    channel += [0x7D, 0x3A, 0x63, 0x68]  // }:ch
    return channel
  }

  /// What a channel is for. The ranges point into the channel's name.
  enum Target: Equatable {
    case room(Range<Int>)
    case user(Range<Int>)
    case node(Range<Int>)
    case everyone
  }

  /// Tells what a channel is for, by the lengths of prefix and end: the name between them may hold any byte.
  func target(of channel: Span<UInt8>) -> Target? {
    if let name = RedisKeys.name(in: channel, after: room) { return .room(name) }
    if let name = RedisKeys.name(in: channel, after: user) { return .user(name) }
    if let name = RedisKeys.name(in: channel, after: node) { return .node(name) }
    return channel.count == everyone.count && RedisKeys.begins(channel, with: everyone) ? .everyone : nil
  }

  private static func name(in channel: Span<UInt8>, after prefix: [UInt8]) -> Range<Int>? {
    let end = channel.count - 4
    guard end > prefix.count, begins(channel, with: prefix), channel[end] == 0x7D, channel[end + 1] == 0x3A,
      channel[end + 2] == 0x63, channel[end + 3] == 0x68
    else { return nil }
    return prefix.count..<end
  }

  private static func begins(_ bytes: Span<UInt8>, with prefix: [UInt8]) -> Bool {
    guard bytes.count >= prefix.count else { return false }
    for i in 0..<prefix.count where bytes[i] != prefix[i] { return false }
    return true
  }

  /// The name that stands in a key between its beginning and its end, any bytes; nil for a key of another kind.
  static func name(in key: [UInt8], after prefix: [UInt8], before end: StaticString) -> [UInt8]? {
    let end = end.withUTF8Buffer { Array($0) }
    guard key.count >= prefix.count + end.count, key.starts(with: prefix), key.suffix(end.count) == end[...] else {
      return nil
    }
    return Array(key[prefix.count..<(key.count - end.count)])
  }

  /// The id of the node in a connection's name: what stands before the last dash. Nil without a dash.
  static func node(ofConnection name: [UInt8]) -> [UInt8]? {
    name.lastIndex(of: 0x2D).map { Array(name[..<$0]) }
  }
}
