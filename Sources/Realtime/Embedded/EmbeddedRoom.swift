import ClientProtocol

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
  var isSubscribed = false
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
  /// Distinct users among them, those whose grace runs included.
  private(set) var userCount = 0
  /// What few rooms have: users who say something about themselves, users in grace, members in order.
  private var extras: EmbeddedExtras?

  init(epoch: Epoch, now: UInt64) {
    position = Position(epoch: epoch, offset: 0)
    lastUse = now
  }

  var users: [[UInt8]] {
    var users = Set(presences.keys.map(\.connection.user))
    for user in extras?.graces.keys ?? [:].keys { users.insert(user) }
    return Array(users)
  }

  var states: [[UInt8]: [UInt8]] { extras?.states ?? [:] }

  /// A page of the members, in the order of their users, then of their names.
  func members(of node: [UInt8], after cursor: MemberCursor?, limit: Int) -> MemberPage {
    let extras = makeExtras()
    let order = extras.order.sorted(whereMember: { presences[Key(connection: $0)] != nil }) {
      presences.keys.map(\.connection)
    }
    var graces = extras.graces.values.map(\.member).filter { cursor?.isBefore($0.user, $0.name) ?? true }
      .sorted { $0.user.lexicographicallyPrecedes($1.user) }[...]
    var page: [Member] = []
    var next = MemberOrder.place(after: cursor, in: order)
    while page.count < limit, next < order.count || !graces.isEmpty {
      if let grace = graces.first, next == order.count || grace.user.lexicographicallyPrecedes(order[next].user) {
        page.append(graces.removeFirst())
      } else {
        page.append(order[next].member(of: node, since: presences[Key(connection: order[next])]))
        next += 1
      }
    }
    var states: [[UInt8]: [UInt8]] = [:]
    if !extras.states.isEmpty { for member in page { states[member.user] = extras.states[member.user] } }
    let hasMore = next < order.count || !graces.isEmpty
    return MemberPage(
      members: page, states: states, userCount: userCount, connectionCount: presences.count,
      next: hasMore ? page.last.map { MemberCursor(user: $0.user, connection: $0.name) } : nil)
  }

  private func makeExtras() -> EmbeddedExtras {
    if let extras { return extras }
    let made = EmbeddedExtras()
    extras = made
    return made
  }

  func shrink() {
    presences = presences.shrunk()
    extras?.order.forget()
  }

  private var isEmpty: Bool { presences.isEmpty && extras?.graces.isEmpty != false }

  /// Whether it is not subscribed, has no members and never had a message.
  var isUnused: Bool { isEmpty && position.offset == 0 && !isSubscribed }

  /// Whether nothing would be missed if the room were forgotten, its epoch included.
  func isForgotten(at now: UInt64) -> Bool {
    isEmpty && !isSubscribed
      && now > lastUse + (position.offset == 0 ? Limits.unusedRoomMilliseconds - 1 : Limits.epochMilliseconds)
  }

  func append(_ envelope: [UInt8], at now: UInt64, _ retention: Retention) {
    position = position.at(position.offset + 1)
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
      // Offsets have no holes, so the last one gives the number above any other: nothing is added to what was asked.
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

  /// Returns whether the connection brings its user: it is the first here, and no grace has kept the user in.
  /// `first` is the first of the user's connections.
  func enter(_ connection: EmbeddedConnection, since: UInt64, first: EmbeddedConnection?) -> Bool {
    guard presences[Key(connection: connection)] == nil else { return false }
    let isFirst = !holdsAny(from: first)
    presences[Key(connection: connection)] = since
    extras?.order.note(connection)
    guard isFirst, extras?.graces.removeValue(forKey: connection.user) == nil else { return false }
    userCount += 1
    return true
  }

  /// What leaving a room came to.
  enum Departure { case none, left, inGrace }

  /// Takes a connection out. `first` is the first of the user's connections.
  func leave(
    _ connection: EmbeddedConnection, at now: UInt64, first: EmbeddedConnection?, graceMilliseconds: Int
  ) -> Departure {
    guard let since = presences.removeValue(forKey: Key(connection: connection)) else { return .none }
    // An empty room keeps no table: there may be many of them.
    if presences.isEmpty { presences = [:] }
    lastUse = now
    extras?.order.note(connection)
    guard !holdsAny(from: first) else { return .none }
    guard graceMilliseconds > 0 else {
      remove(connection.user)
      return .left
    }
    var member = connection.member(of: [], since: since)
    member.name = []
    makeExtras().graces[connection.user] = EmbeddedExtras.Grace(
      member: member, deadline: now + UInt64(graceMilliseconds))
    return .inGrace
  }

  private func remove(_ user: [UInt8]) {
    userCount -= 1
    extras?.states[user] = nil
  }

  /// Ends the stay of users whose grace is over. Returns them, and when the next one ends.
  func endGraces(at now: UInt64) -> (over: [Member], next: UInt64?) {
    guard let extras else { return ([], nil) }
    let over = extras.graces.values.filter { $0.deadline <= now }.map(\.member)
    for member in over {
      extras.graces[member.user] = nil
      remove(member.user)
    }
    return (over, extras.graces.values.map(\.deadline).min())
  }

  /// Keeps a user's state. Returns whether it is to be announced.
  func setState(_ state: [UInt8]?, of user: [UInt8], first: EmbeddedConnection?, isAssertion: Bool) -> Bool {
    guard holdsAny(from: first) || extras?.graces[user] != nil else { return false }
    guard !isAssertion || extras?.states[user] == nil else { return false }
    makeExtras().states[user] = state
    return true
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
