import JSONCore

/// What a node knows of a room's presence beside what its broker holds: whom it has announced to the members, what it
/// still has to announce, and what its own users say about themselves. Confined to the loop of its hub.
///
/// The law that it serves: a client that starts from `joined` and `presence`, and applies every notice that follows, knows
/// who is there whenever the room is at rest. So everything that a client gets of a room's users is made from
/// `announced`, in the order in which it was announced.
final class RoomPresence {
  // In this order the small members fill what others leave of a word: every room with Redis has one of these.
  /// The users that were announced to the members; nil until they were read, and where the broker knows at once.
  private(set) var announced: AnnouncedUsers?
  /// Whether the users are being read. Notices of that time are held: what the pages say about them is not known.
  private(set) var isReading = false
  /// Whether notices of the time of reading were dropped: the users must be read once more.
  private(set) var hasOverflowed = false
  /// Whether joins and leaves are summarised.
  private(set) var isCrowd = false
  /// Whether the time of the next update is being waited for.
  var isUpdateScheduled = false
  private var heldBytes: UInt32 = 0
  /// Pages of members being read, and what users said meanwhile: a page may be older.
  private var readsUnderWay: UInt32 = 0
  /// How often users were announced by themselves in an interval in which there was much to announce.
  private var noticesInterval: UInt32 = 0
  private var noticesOfUsers: [[UInt8]: Int] = [:]
  private var statesSinceRead: [[UInt8]: [UInt8]] = [:]
  private var held: [[UInt8]] = []
  /// Hashes of the states that were announced to the members: to find what they have missed.
  private var announcedStates: [[UInt8]: UInt64] = [:]
  /// The states that users set whose sessions here said it, to be asserted when the broker has forgotten it; empty
  /// when it was taken back.
  private var ownStates: [[UInt8]: [UInt8]] = [:]
  /// Milliseconds of the hub's steady clock before which no `presence_update` is sent.
  private(set) var nextUpdateAt: UInt64 = 0
  private var changes = CrowdChanges()

  // MARK: Announced users

  func beginReading() { isReading = true }

  /// Ends the reading: from here on `announced` is what the pages said, and the notices of that time follow.
  func finishReading(_ users: AnnouncedUsers) {
    isReading = false
    announced = users
  }

  /// Takes the states that pages had. Returns the users whose states are not those that were announced, each with its
  /// state or nil.
  func replaceStates(_ states: [[UInt8]: [UInt8]]) -> [(user: [UInt8], state: [UInt8]?)] {
    var changed: [(user: [UInt8], state: [UInt8]?)] = []
    for user in announcedStates.keys where states[user] == nil { changed.append((user, nil)) }
    for (user, state) in states where announcedStates[user] != RoomPresence.hash(state.span) {
      changed.append((user, state))
    }
    announcedStates = states.mapValues { RoomPresence.hash($0.span) }
    return changed
  }

  private static func hash(_ state: Span<UInt8>) -> UInt64 { NameHash.of(state, seed: 1) }

  /// Ends a reading that failed. What was announced before stays.
  func abandonReading() { isReading = false }

  /// Keeps a notice until the reading ends, within `Limits.heldNoticesBytesMax`.
  func hold(_ notice: Span<UInt8>) {
    heldBytes = UInt32(clamping: Int(heldBytes) + notice.count)
    guard heldBytes <= Limits.heldNoticesBytesMax else {
      (held, hasOverflowed) = ([], true)
      return
    }
    held.append([UInt8](copying: notice))
  }

  /// Takes what was held, oldest first.
  func takeHeld() -> [[UInt8]] {
    defer { (held, heldBytes, hasOverflowed) = ([], 0, false) }
    return held
  }

  /// Returns whether that is news.
  func insert(_ user: Span<UInt8>) -> Bool { announced?.insert(user) ?? false }

  /// Returns whether that is news.
  func remove(_ user: Span<UInt8>) -> Bool { announced?.remove(user) ?? false }

  // MARK: Crowds

  /// Decides how a change is announced in a room of so many users. A room that has become a crowd stays one until it is
  /// smaller than four fifths of the limit, so that one user who comes and goes does not change the way of telling.
  func measure(userCount: Int, announceMax: Int) {
    isCrowd = isCrowd ? userCount * 5 >= announceMax * 4 : userCount > announceMax
  }

  func note(_ user: [UInt8], isPresent: Bool) { changes.note(user, isPresent: isPresent) }

  func keepForUpdate(_ state: Span<UInt8>, of user: [UInt8]) -> Bool {
    hasChanges && changes.keep([UInt8](copying: state), of: user)
  }

  /// Counts an announcement of a user. Returns how many there were in the interval.
  func countNotice(of user: [UInt8], in interval: UInt32) -> Int {
    if interval != noticesInterval { (noticesInterval, noticesOfUsers) = (interval, [:]) }
    noticesOfUsers[user, default: 0] += 1
    return noticesOfUsers[user, default: 0]
  }

  var hasChanges: Bool { !changes.isEmpty }

  /// Takes the changes for an update that is sent now.
  func takeChanges(now: UInt64, interval: Int) -> CrowdChanges.Summary {
    nextUpdateAt = now + UInt64(interval)
    return changes.takeAll()
  }

  // MARK: States

  /// The state of a user of this node, to be asserted again; nil: none.
  func ownState(of user: [UInt8]) -> [UInt8]? { ownStates[user].flatMap { $0.isEmpty ? nil : $0 } }

  /// Keeps the state of a user of this node, nil when it was removed.
  func keep(_ state: [UInt8]?, of user: [UInt8]) { ownStates[user] = state ?? [] }

  func keepsState(of user: [UInt8]) -> Bool { ownStates[user] != nil }

  /// Forgets an own user.
  func forgetOwnState(of user: [UInt8]) { ownStates[user] = nil }

  /// Notes what the members receive as the state of a user, `null` when it was taken back.
  ///
  /// - Parameter isSaid: whether the user has just said so. Else a read showed it, of a broker that may have forgotten what
  ///   this node has still to assert.
  /// - Parameter isOwn: whether the user has a session here, which is to assert it should the one that said it be gone.
  func noteState(_ state: Span<UInt8>, of user: [UInt8], isSaid: Bool, isOwn: Bool) {
    let isNull = JSONString.equals(state, "null")
    announcedStates[user] = isNull ? nil : RoomPresence.hash(state)
    let state = [UInt8](copying: state)
    if isSaid, isOwn || ownStates[user] != nil { keep(isNull ? nil : state, of: user) }
    if readsUnderWay > 0 { statesSinceRead[user] = state }
  }

  /// Whether this state of a user, or none (nil), was announced to the members.
  func hasAnnounced(_ state: [UInt8]?, of user: [UInt8]) -> Bool {
    announcedStates[user] == state.map { RoomPresence.hash($0.span) }
  }

  /// Forgets what a user said who has left. Returns whether it said anything.
  func forgetState(of user: Span<UInt8>) -> Bool {
    guard !announcedStates.isEmpty || !ownStates.isEmpty || readsUnderWay > 0 else { return false }
    let user = [UInt8](copying: user)
    ownStates[user] = nil
    if readsUnderWay > 0 { statesSinceRead[user] = Array("null".utf8) }
    return announcedStates.removeValue(forKey: user) != nil
  }

  func beginMemberRead() { readsUnderWay += 1 }

  func endMemberRead() {
    readsUnderWay -= 1
    if readsUnderWay == 0 { statesSinceRead = [:] }
  }

  /// A user's state, given what a page of members had of it.
  func state(of user: [UInt8], inPage state: [UInt8]?) -> [UInt8]? {
    guard let newer = statesSinceRead[user] else { return state }
    return RoomPresence.isNull(newer) ? nil : newer
  }

  private static func isNull(_ state: [UInt8]) -> Bool { state.elementsEqual("null".utf8) }
}
