/// A connection of the embedded broker, one object however many rooms it is in. There are as many as connections, so what
/// few have costs the others one word, and the object fits a block of 64 bytes.
final class EmbeddedConnection: Named {
  /// What most connections lack.
  private final class Rest {
    var info: [UInt8]?
    var next: EmbeddedConnection?
  }

  let name: [UInt8]
  let user: [UInt8]
  private let address: [UInt8]
  /// Milliseconds since 1970, and the transport in the lowest byte.
  private let sinceAndTransport: UInt64
  private var rest: Rest?

  /// The same user's next connection: most users have one, which costs no array.
  var next: EmbeddedConnection? {
    get { rest?.next }
    set {
      if rest == nil, newValue != nil { rest = Rest() }
      rest?.next = newValue
    }
  }

  private var since: UInt64 { sinceAndTransport >> 8 }
  // Safe because the byte was made of a transport.
  private var transport: Transport { Transport(rawValue: UInt8(truncatingIfNeeded: sinceAndTransport))! }

  init(_ member: Member) {
    name = member.name
    user = member.user
    address = member.address
    sinceAndTransport = member.since << 8 | UInt64(member.transport.rawValue)
    guard let info = member.info else { return }
    rest = Rest()
    rest?.info = info
  }

  /// What it was made of; the node is the same for all and kept once.
  ///
  /// - Parameter since: when it entered a room; nil: when it connected.
  func member(of node: [UInt8], since entered: UInt64? = nil) -> Member {
    Member(
      name: name, node: node, user: user, transport: transport, address: address, since: entered ?? since,
      info: rest?.info)
  }
}

/// A room of the embedded broker: its counter, its history, its members; pure.
final class EmbeddedRoom {
  private struct Kept {
    let at: UInt64
    let offset: UInt64
    let envelope: [UInt8]
  }

  private(set) var position: Position
  /// Whether the node is subscribed to it.
  var isHeard = false
  /// Whether the broker has noted when it is to look whether the room is still unused.
  var isExpiring = false
  /// Ascending; what stands before `start` was dropped and waits to be cleared away in one go.
  private var kept: [Kept] = []
  private var start = 0
  private var lastUse: UInt64

  /// A connection as the key that it is: one object for each.
  private struct Key: Hashable {
    let connection: EmbeddedConnection
    static func == (a: Key, b: Key) -> Bool { a.connection === b.connection }
    func hash(into hasher: inout Hasher) { hasher.combine(ObjectIdentifier(connection)) }
  }

  /// Who is in the room, and since when.
  private var presences: [Key: UInt64] = [:]
  /// Distinct users among them.
  private(set) var userCount = 0

  init(epoch: Epoch, now: UInt64) {
    position = Position(epoch: epoch, offset: 0)
    lastUse = now
  }

  var users: [[UInt8]] { Array(Set(presences.keys.map(\.connection.user))) }

  func members(of node: [UInt8]) -> [Member] {
    presences.map { key, since in key.connection.member(of: node, since: since) }
  }

  func shrink() { presences = presences.shrunk() }

  /// Whether nobody hears it, it has no members and never had a message.
  var isUnused: Bool { presences.isEmpty && position.offset == 0 && !isHeard }

  /// Whether nothing would be missed if the room were forgotten, its epoch included.
  func isForgotten(at now: UInt64) -> Bool {
    presences.isEmpty && !isHeard
      && now > lastUse + (position.offset == 0 ? Limits.unusedRoomMilliseconds - 1 : Limits.epochMilliseconds)
  }

  func append(_ envelope: [UInt8], at now: UInt64, _ retention: Retention) {
    position.offset += 1
    lastUse = now
    guard retention.messagesMax > 0 else { return }
    kept.append(Kept(at: now, offset: position.offset, envelope: envelope))
    if kept.count - start > retention.messagesMax { start += 1 }
    expire(at: now, retention)
  }

  func expire(at now: UInt64, _ retention: Retention) {
    while start < kept.count, kept[start].at + UInt64(retention.milliseconds) <= now { start += 1 }
    if start > 64, start * 2 > kept.count {
      kept.removeFirst(start)
      start = 0
    }
  }

  func entries(_ query: HistoryQuery, bytesMax: Int) -> [HistoryPage.Entry] {
    var window: ArraySlice<Kept>
    switch query {
    case .newest(let limit): window = kept[start...].suffix(max(0, limit))
    case .after(let offset, let limit):
      // Offsets have no holes, so the last one tells how many stand above any other: nothing is added to what was asked.
      let above = Int(clamping: position.offset - min(offset, position.offset))
      window = kept[start...].suffix(above).prefix(max(0, limit))
    }
    var bytes = 0
    let end = window.firstIndex { kept in
      bytes += kept.envelope.count
      return bytes > bytesMax && bytes > kept.envelope.count
    }
    if let end { window = window[..<end] }
    return window.map { ($0.offset, $0.envelope) }
  }

  /// Returns whether the connection is its user's first here. `first` is the first of the user's connections.
  func enter(_ connection: EmbeddedConnection, since: UInt64, first: EmbeddedConnection?) -> Bool {
    guard presences[Key(connection: connection)] == nil else { return false }
    let isFirst = !holdsAny(from: first)
    presences[Key(connection: connection)] = since
    if isFirst { userCount += 1 }
    return isFirst
  }

  /// Returns whether the connection was its user's last here. `first` is the first of the user's connections.
  func leave(_ connection: EmbeddedConnection, at now: UInt64, first: EmbeddedConnection?) -> Bool {
    guard presences.removeValue(forKey: Key(connection: connection)) != nil else { return false }
    // An empty room keeps no table: there may be many of them.
    if presences.isEmpty { presences = [:] }
    lastUse = now
    let isLast = !holdsAny(from: first)
    if isLast { userCount -= 1 }
    return isLast
  }

  /// Whether any connection of a user is here.
  private func holdsAny(from first: EmbeddedConnection?) -> Bool {
    var next = first
    while let connection = next {
      if presences[Key(connection: connection)] != nil { return true }
      next = connection.next
    }
    return false
  }
}

extension Dictionary {
  /// The same entries in a table of their size, when the table has grown far beyond it.
  func shrunk() -> Self {
    guard capacity > 64, capacity > count * 4 else { return self }
    var smaller = Self(minimumCapacity: count)
    for (key, value) in self { smaller[key] = value }
    return smaller
  }
}
