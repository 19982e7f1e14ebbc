import ClientProtocol
import JSONCore

/// Who comes and goes, and the states that users set, announced to a room's local members: each change once, whatever
/// was lost or came twice on the way.
/// Confined to the loop that created its hub.
final class RoomAnnouncements {
  private let context: HubContext
  /// The context's, held here too: reached through the context it is retained for every call.
  private let broker: any Broker
  private let batches: BatchQueue
  private let fanOut: FanOut
  private let graces: LeaveGraces
  /// When presence is compared with the broker.
  private var comparisons = ComparisonSchedule()

  init(_ context: HubContext, batches: BatchQueue, fanOut: FanOut, graces: LeaveGraces) {
    self.context = context
    broker = context.broker
    self.batches = batches
    self.fanOut = fanOut
    self.graces = graces
  }

  func received(room name: Span<UInt8>, notice: Span<UInt8>) {
    guard let room = context.rooms.find(name) else { return }
    if notice.count > 0, notice[0] == Envelope.Kind.ephemeral.rawValue {
      return fanOut.deliver(ephemeral: notice, in: room)
    }
    guard room.rule.hasPresence else { return }
    // What the pages that are being read contain of it is not known yet.
    if let presence = room.presence, presence.isReading { presence.hold(notice) } else { take(notice, in: room) }
  }

  private func take(_ notice: Span<UInt8>, in room: Room) {
    guard let envelope = Envelope(notice), envelope.user.count > 2 else { return }
    let userJSON = notice.extracting(envelope.user)
    let body = notice.extracting(envelope.body)
    switch envelope.kind {
    case .userJoined:
      if broker.losesNotices {
        guard let user = RoomAnnouncements.name(in: userJSON), room.presence?.insert(user.span) == true else { return }
      }
      let origin = context.localSession(named: notice.extracting(envelope.origin))
      announce(userJSON, isPresent: true, info: body, except: origin, in: room)
    case .userLeft:
      if broker.losesNotices {
        guard let user = RoomAnnouncements.name(in: userJSON) else { return }
        // A node knows better about its own: it was taken for dead, or the notice is older than the user's return.
        guard !isMember(user, of: room), room.presence?.remove(user.span) == true else { return }
      }
      announce(userJSON, isPresent: false, in: room)
    case .userLeaving:
      if let grace = JSONNumber.unsigned(body) { graces.graceBegins(in: room.name, Int(clamping: grace)) }
    case .userState: announceState(of: userJSON, body, isSaid: true, in: room)
    case .message, .binary, .ephemeral, .direct, .broadcast, .disconnect, .revoke, .order: break
    }
  }

  /// Decodes a JSON string, quotes included.
  private static func name(in userJSON: Span<UInt8>) -> [UInt8]? {
    JSONString.unescape(userJSON.extracting(1..<(userJSON.count - 1)))
  }

  /// Announces the change at once, or in a crowd with the next update.
  func announce(
    _ userJSON: Span<UInt8>, isPresent: Bool, info: Span<UInt8> = Span(), except origin: SlabID? = nil, in room: Room
  ) {
    // A room that is no longer a crowd gets one last summary, in its time, and nothing overtakes that.
    let isSummed = measureCrowd(of: room) || isStorm(of: userJSON, in: room) || room.presence?.hasChanges == true
    if !isPresent { forgetState(of: userJSON, in: room, isSummed: isSummed) }
    context.observers.report(
      .presence, .userChanged(room: room.name, userJSON: [UInt8](copying: userJSON), isPresent: isPresent))
    if isSummed {
      if let user = RoomAnnouncements.name(in: userJSON) { presence(of: room).note(user, isPresent: isPresent) }
      return scheduleUpdate(of: room)
    }
    let user = [UInt8](copying: userJSON)
    let event: ServerEvent =
      isPresent
      ? .userJoined(roomJSON: room.nameJSON, userJSON: user, info: [UInt8](copying: info))
      : .userLeft(roomJSON: room.nameJSON, userJSON: user)
    fanOut.appendNotice(event, to: room, except: origin)
  }

  /// A user's state leaves with it. In a crowd the members may never learn that it was away, so they receive `null`.
  private func forgetState(of userJSON: Span<UInt8>, in room: Room, isSummed: Bool) {
    guard let presence = room.presence, let user = RoomAnnouncements.name(in: userJSON),
      presence.forgetState(of: user.span), isSummed
    else { return }
    announce(state: nil, of: user, in: room)
  }

  func announce(_ user: [UInt8], isPresent: Bool, info: [UInt8]? = nil, except: SlabID? = nil, in room: Room) {
    var json: [UInt8] = []
    JSONString.append(user.span, to: &json)
    let info = info ?? []
    announce(json.span, isPresent: isPresent, info: info.span, except: except, in: room)
  }

  /// What this node knows of the room's presence; made when it is needed first.
  func presence(of room: Room) -> RoomPresence {
    if let known = room.presence { return known }
    let made = RoomPresence()
    room.presence = made
    return made
  }

  /// Whether a room is so large that changes are summarised.
  private func measureCrowd(of room: Room) -> Bool {
    let announceMax = announceMax(of: room)
    let count = context.userCount(of: room)
    guard room.presence != nil || count > announceMax else { return false }
    let presence = presence(of: room)
    presence.measure(userCount: count, announceMax: announceMax)
    return presence.isCrowd
  }

  private func announceMax(of room: Room) -> Int { room.rule.announceMax ?? context.configuration.presenceAnnounceMax }

  private func updateInterval(of room: Room) -> Int {
    room.rule.presenceIntervalMilliseconds ?? context.configuration.presenceIntervalMilliseconds
  }

  /// Whether so much was announced one by one in this interval that a change waits for an update: a client that joins and
  /// leaves as fast as it can must not cost every member a notice each time. Counts the change when it does not wait.
  private func isStorm(of userJSON: Span<UInt8>, in room: Room) -> Bool {
    let interval = UInt32(truncatingIfNeeded: context.steady() / UInt64(max(1, updateInterval(of: room))))
    let announced = room.notices.count(in: interval)
    // A room in which all are announced may be left by all and joined by all.
    guard announced < max(context.configuration.presenceNoticesMax, announceMax(of: room) * 2) else { return true }
    if announced >= context.configuration.presenceUserNoticesMax {
      guard let user = RoomAnnouncements.name(in: userJSON),
        presence(of: room).countNotice(of: user, in: interval) <= context.configuration.presenceUserNoticesMax
      else { return true }
    }
    room.notices.add(in: interval)
    return false
  }

  /// Announces the changes now, or when the interval since the last update has passed.
  private func scheduleUpdate(of room: Room) {
    let presence = presence(of: room)
    guard !presence.isUpdateScheduled else { return }
    let now = context.steady()
    guard presence.nextUpdateAt > now else { return announceChanges(in: room) }
    presence.isUpdateScheduled = true
    context.after(Int(clamping: presence.nextUpdateAt - now)) { [weak self] in
      presence.isUpdateScheduled = false
      guard let self, context.isKnown(room), presence.hasChanges else { return }
      announceChanges(in: room)
    }
  }

  private func announceChanges(in room: Room) {
    let changes = presence(of: room).takeChanges(now: context.steady(), interval: updateInterval(of: room))
    let count = context.userCount(of: room)
    fanOut.appendNotice(
      .presenceUpdate(
        roomJSON: room.nameJSON, userCount: count, joined: changes.joined, left: changes.left, hasMore: changes.hasMore),
      to: room)
    for (user, state) in changes.states { announce(state: state, of: user, in: room) }
  }

  /// Whether a room needs to know who was announced: where notices may be lost, and anybody is announced at all.
  private func keepsAnnounced(_ room: Room) -> Bool { broker.losesNotices && room.rule.hasPresence }

  /// Whether joins may be answered: it is known who is in the room.
  func knowsUsers(of room: Room) -> Bool { !keepsAnnounced(room) || room.presence?.announced != nil }

  /// Announces the users of those who are about to be let in, whose own notices may not have come yet: so that the number
  /// of members that they receive, and the notices that follow, fit together. Called before the room's batch is
  /// delivered, of which they get nothing.
  func announceArrivals(to room: Room) {
    guard keepsAnnounced(room), let presence = room.presence, presence.announced != nil else { return }
    for arrival in room.arrivals where context.sessions.contains(arrival.session) {
      let session = arrival.session.index
      guard let name = context.sessions[session].user?.name, context.sessions[session].subscriptionIndex(room) != nil,
        presence.insert(name.span)
      else { continue }
      // The state of an earlier stay has ended with it.
      presence.forgetOwnState(of: name)
      announce(
        name, isPresent: true, info: context.sessions[session].identity?.info, except: arrival.session, in: room)
    }
  }

  /// Whether it must be read who is in a room, and nobody reads it yet.
  func needsUsers(of room: Room) -> Bool {
    keepsAnnounced(room) && room.presence?.announced == nil && room.presence?.isReading != true
  }

  /// Reads who is in a room, before its first local member is let in: from then on every change is announced.
  /// Requested right after entering, so that it costs no round trip of its own.
  ///
  /// - Parameter onFailure: called when that cannot be read.
  func readUsers(of room: Room, orElse onFailure: @escaping () -> Void) {
    if graces.grace(of: room) > 0 { graces.endGraces(in: room.name) }
    readUsers(of: room) { [weak self] users in
      guard let self else { return }
      guard let users else { return onFailure() }
      presence(of: room).finishReading(users.names)
      _ = presence(of: room).replaceStates(users.states)
      takeHeldNotices(in: room)
      batches.markDirty(room)
    }
  }

  /// A room's users as pages brought them, and what they say about themselves.
  private struct ReadUsers {
    var names = AnnouncedUsers()
    var states: [[UInt8]: [UInt8]] = [:]
  }

  /// Reads all pages of a room's users, while its notices are held. Answers nil when one could not be had, and not at all
  /// when the room has ended.
  private func readUsers(of room: Room, _ reply: @escaping (ReadUsers?) -> Void) {
    let presence = presence(of: room)
    presence.beginReading()
    var users = ReadUsers()
    func readPage(from cursor: [UInt8]?) {
      context.broker.users(room: room.name, from: cursor) { [weak self] result in
        guard let self, context.isKnown(room) else { return }
        guard case .success(let page) = result else {
          presence.abandonReading()
          return reply(nil)
        }
        for user in page.users { users.names.insert(user.span) }
        for (user, state) in page.states { users.states[user] = state }
        if let next = page.next { readPage(from: next) } else { reply(users) }
      }
    }
    readPage(from: nil)
  }

  private func takeHeldNotices(in room: Room) {
    guard let presence = room.presence else { return }
    if presence.hasOverflowed { comparePresence(in: 0) }
    for notice in presence.takeHeld() { take(notice.span, in: room) }
  }

  /// Compares, after so many milliseconds, what was announced to members with what the broker knows.
  func comparePresence(in milliseconds: UInt64) {
    comparisons.add(context.steady() + milliseconds)
  }

  /// Compares all rooms when it is time. Called by `expire`.
  func comparePresence(at now: UInt64) {
    guard comparisons.isDue(at: now), broker.losesNotices else { return }
    context.rooms.forEach { room in
      guard let presence = room.presence, presence.announced != nil, !presence.isReading else { return }
      readUsers(of: room) { [weak self] users in
        guard let self else { return }
        if let users {
          correct(room, presence, to: users)
        } else if context.broker.isWhole {
          // While the broker is away nothing is known: `brokerRestored` has it compared again. One that refuses is asked again.
          comparePresence(in: Limits.presenceCompareMilliseconds)
        }
        takeHeldNotices(in: room)
      }
    }
  }

  /// Announces to the members what they have missed.
  private func correct(_ room: Room, _ presence: RoomPresence, to read: ReadUsers) {
    var users = read.names
    var left: [[UInt8]] = []
    var joined: [[UInt8]] = []
    presence.announced?.forEach { user in
      guard !users.contains(user.span) else { return }
      // This node knows better: it is about to assert its own member again.
      if isMember(user, of: room) { users.insert(user.span) } else { left.append(user) }
    }
    users.forEach { user in if presence.announced?.contains(user.span) == false { joined.append(user) } }
    presence.finishReading(users)
    for user in left { announce(user, isPresent: false, in: room) }
    for user in joined { announce(user, isPresent: true, in: room) }
    for (user, state) in presence.replaceStates(read.states) where users.contains(user.span) {
      announce(state: state, of: user, in: room)
    }
  }

  /// Whether a session of the user has joined the room on this node.
  private func isMember(_ name: [UInt8], of room: Room) -> Bool {
    var isFound = false
    context.users.find(name.span)?.sessions.forEach { session in
      guard let index = context.sessions[session].subscriptionIndex(room) else { return }
      isFound = isFound || context.sessions[session].subscriptions[index].isJoined
    }
    return isFound
  }

  /// Announces a user's state to the members.
  ///
  /// - Parameter isSaid: whether the user has just set it. If not, it corrects what the members know.
  private func announceState(of userJSON: Span<UInt8>, _ state: Span<UInt8>, isSaid: Bool, in room: Room) {
    let presence = presence(of: room)
    if let user = RoomAnnouncements.name(in: userJSON) {
      presence.noteState(state, of: user, isSaid: isSaid, isOwn: isSaid && isMember(user, of: room))
      guard !presence.keepForUpdate(state, of: user) else { return }
    }
    // To the session that set it, too: what another session of the user set meanwhile may come before or after.
    let (user, state) = ([UInt8](copying: userJSON), [UInt8](copying: state))
    fanOut.appendNotice(.userState(roomJSON: room.nameJSON, userJSON: user, state: state), to: room)
  }

  /// Corrects what the members know of a user's state.
  func announce(state: [UInt8]?, of user: [UInt8], in room: Room) {
    var json: [UInt8] = []
    JSONString.append(user.span, to: &json)
    let state = state ?? Array("null".utf8)
    announceState(of: json.span, state.span, isSaid: false, in: room)
  }

  /// Forgets a user's state in a room when its last session here has left.
  func forgetOwnState(of user: LocalUser, in room: Room) {
    guard let presence = room.presence, presence.keepsState(of: user.name) else { return }
    var isHere = false
    user.sessions.forEach { if context.sessions[$0].subscriptionIndex(room) != nil { isHere = true } }
    if !isHere { presence.forgetOwnState(of: user.name) }
  }

  /// Tells the broker again who is in which room, after it has forgotten that.
  func assertMembers() {
    for index in 0..<context.sessions.end where context.sessions.isOccupied(index) {
      guard let member = context.member(index) else { continue }
      context.broker.connect(member)
      for subscription in context.sessions[index].subscriptions where subscription.room.rule.hasPresence {
        let room = subscription.room
        guard let member = self.context.member(index, since: subscription.since) else { continue }
        context.broker.enter(room: room.name, member) { _ in }
        guard let state = room.presence?.ownState(of: member.user) else { continue }
        context.broker.setState(room: room.name, member, state, isAssertion: true) { _ in }
      }
    }
  }
}
