/// What a client knows of a room that it joins or has joined. Confined to its client.
final class RoomEntry {
  let name: String
  /// Where the client is; nil before the first join, and for wildcards.
  var epoch: String?
  private(set) var offset: UInt64 = 0
  var isJoined = false
  /// Whether a join is on its way.
  var isEntering = false
  /// The last answer to a join; nil before the first.
  var joined: Joined?
  /// What this user has set, to set it again after a reconnect.
  var userState: JSON?
  /// Offsets of own messages, which are acked and not delivered: they count as seen once everything before them has come.
  private var own: Set<UInt64> = []
  private var waiters: [CheckedContinuation<Joined, any Error>] = []
  var messages = Readers<Message> { $0.json.bytes.count + 200 }
  /// Who is in the room; nil: nobody has asked.
  var members: MemberBook?

  init(_ name: String) { self.name = name }

  /// Whether it stands for every room that begins as its name does.
  var isWildcard: Bool { name.hasSuffix("*") }

  func matches(_ room: String) -> Bool { isWildcard && room.hasPrefix(name.dropLast()) }

  /// Waits for the first `joined`.
  func await(_ continuation: CheckedContinuation<Joined, any Error>) {
    if let joined { continuation.resume(returning: joined) } else { waiters.append(continuation) }
  }

  /// Takes the answer to a join.
  func enter(_ answer: Joined) {
    epoch = answer.epoch
    if answer.recovered != true { move(to: answer.offset) }
    isJoined = true
    joined = answer
    for waiter in waiters { waiter.resume(returning: answer) }
    waiters = []
  }

  /// Another epoch has begun, or the server states the position anew.
  func renew(epoch: String, offset: UInt64, recovered: Bool) {
    self.epoch = epoch
    self.offset = offset
    if !recovered { own = [] }
    absorbOwn()
  }

  /// Begins at a place of a new order.
  private func move(to offset: UInt64) {
    self.offset = offset
    own = []
  }

  /// Moves forward; false: this was seen already.
  func advance(to offset: UInt64) -> Bool {
    guard offset > self.offset else { return false }
    self.offset = offset
    absorbOwn()
    return true
  }

  /// Notes a message of its own that was acked.
  func noteOwn(_ offset: UInt64, epoch: String) {
    guard epoch == self.epoch else { return }
    own.insert(offset)
    absorbOwn()
  }

  private func absorbOwn() {
    guard !own.isEmpty else { return }
    own = own.filter { $0 > offset }
    while own.remove(offset + 1) != nil { offset += 1 }
  }

  /// Ends everything that waits for the room.
  ///
  /// - Parameter error: how sequences end; nil: without an error.
  func end(_ error: ClientError?, waiters failure: ClientError) {
    for waiter in waiters { waiter.resume(throwing: failure) }
    waiters = []
    messages.finish(error)
    members?.end(failure)
    members = nil
  }
}

/// Who is in a room: what `presence` answered, and every notice since. Confined to its client.
///
/// Notices that come while the pages of an answer are read are applied once more after it, so that it does not matter which
/// of them the answer contains.
final class MemberBook {
  /// What a notice says.
  enum Notice {
    case came(String, info: JSON?)
    case went(String)
    case state(String, JSON?)
  }

  private var users: [String: Member] = [:]
  private var page: [String: Member] = [:]
  private var notices: [Notice] = []
  private(set) var isReading = false
  /// Whether it was read once.
  private(set) var isKnown = false
  private var waiters: [CheckedContinuation<[Member], any Error>] = []
  private var watchers: [UInt64: AsyncStream<[Member]>.Continuation] = [:]
  private var lastWatcher: UInt64 = 0

  /// All, ascending by name.
  var all: [Member] { users.values.sorted { $0.user < $1.user } }

  func await(_ continuation: CheckedContinuation<[Member], any Error>) {
    if isKnown { continuation.resume(returning: all) } else { waiters.append(continuation) }
  }

  func watch(_ ended: @escaping @Sendable (UInt64) -> Void) -> AsyncStream<[Member]> {
    lastWatcher += 1
    let id = lastWatcher
    let (stream, continuation) = AsyncStream.makeStream(of: [Member].self, bufferingPolicy: .bufferingNewest(1))
    continuation.onTermination = { _ in ended(id) }
    watchers[id] = continuation
    if isKnown { continuation.yield(all) }
    return stream
  }

  func unwatch(_ id: UInt64) { watchers[id] = nil }

  func beginReading() { (isReading, page, notices) = (true, [:], []) }

  func add(_ members: [Member]) { for member in members { page[member.user] = member } }

  func finishReading() {
    (isReading, isKnown, users, page) = (false, true, page, [:])
    for notice in notices { apply(notice, to: &users) }
    notices = []
    for waiter in waiters { waiter.resume(returning: all) }
    waiters = []
    show()
  }

  func stopReading() { (isReading, page, notices) = (false, [:], []) }

  func take(_ notice: Notice) {
    if isReading { notices.append(notice) }
    guard isKnown else { return }
    apply(notice, to: &users)
    show()
  }

  private func apply(_ notice: Notice, to users: inout [String: Member]) {
    switch notice {
    case .came(let user, let info): users[user] = Member(user: user, info: info, state: users[user]?.state)
    case .went(let user): users[user] = nil
    case .state(let user, let state): users[user]?.state = state
    }
  }

  private func show() {
    guard !watchers.isEmpty else { return }
    let all = all
    for watcher in watchers.values { watcher.yield(all) }
  }

  func fail(_ error: ClientError) {
    for waiter in waiters { waiter.resume(throwing: error) }
    waiters = []
  }

  func end(_ error: ClientError) {
    fail(error)
    for watcher in watchers.values { watcher.finish() }
    watchers = [:]
  }
}
