import JSONCore

// Who comes and goes, told to a room's local members: each change once, whatever was lost or said twice on the way.

extension Hub {
  public func heard(room name: Span<UInt8>, notice: Span<UInt8>) {
    guard let room = rooms.find(name) else { return }
    guard broker.losesNotices else { return tell(room, notice) }
    guard room.attendance == nil || room.isReadingAttendance else { return take(notice, in: room) }
    // What the list that is being read says about it is not known yet.
    guard room.isReadingAttendance else { return }
    room.heldNotices.append([UInt8](copying: notice))
    if room.heldNotices.count > Limits.heldNoticesMax {
      room.heldNotices = []
      comparePresence(in: Limits.presenceCompareMilliseconds)
    }
  }

  /// Tells a notice to the members if it is news to them.
  private func take(_ notice: Span<UInt8>, in room: Room) {
    guard let envelope = Envelope(notice), envelope.user.count > 2 else { return }
    let quoted = envelope.user
    let name = JSONString.unescape(notice.extracting((quoted.lowerBound + 1)..<(quoted.upperBound - 1)))
    guard let name else { return }
    let isNews: Bool
    if envelope.kind == .userJoined {
      isNews = room.attendance?.insert(name.span) ?? false
    } else {
      isNews = room.attendance?.remove(name.span) ?? false
    }
    if isNews { tell(room, notice) }
  }

  private func tell(_ room: Room, _ notice: Span<UInt8>) {
    guard let envelope = Envelope(notice) else { return }
    let origin = localSession(named: notice.extracting(envelope.origin))
    tell(room, hasJoined: envelope.kind == .userJoined, notice.extracting(envelope.user), except: origin)
  }

  private func tell(_ room: Room, hasJoined: Bool, _ userJSON: Span<UInt8>, except origin: SlabID?) {
    let batch = openBatch(of: room, membersOnly: !wildcards(of: room).isEmpty)
    batch.append(.text, offset: 0, origin: origin, acceptedAt: 0) {
      Push.presenceChange(joined: hasJoined, roomJSON: room.nameJSON, userJSON: userJSON, to: &$0)
    }
    capBatch(of: room)
  }

  // MARK: Attendance

  /// Whether a room needs to know who was announced: where notices may be lost, and anybody is announced at all.
  func hasAttendance(_ room: Room) -> Bool { broker.losesNotices && room.rule.hasPresence }

  /// Reads who is in a room, before its first local member is let in: from then on every change is told.
  /// Asked for right behind the entering, so that it costs no round trip of its own.
  func readAttendance(of room: Room) {
    guard hasAttendance(room), room.attendance == nil, !room.isReadingAttendance else { return }
    room.isReadingAttendance = true
    broker.users(room: room.name) { [weak self] result in
      guard let self, self.isKnown(room) else { return }
      room.isReadingAttendance = false
      guard case .success(let users) = result else { return self.abandonArrivals(in: room) }
      room.attendance = Attendance(users)
      self.takeHeldNotices(in: room)
      self.markDirty(room)
    }
  }

  private func takeHeldNotices(in room: Room) {
    var held: [[UInt8]] = []
    swap(&held, &room.heldNotices)
    for notice in held { take(notice.span, in: room) }
  }

  /// Nobody can be let in who would not be told of the others: the clients ask again.
  private func abandonArrivals(in room: Room) {
    room.heldNotices = []
    var arrivals: [Room.Arrival] = []
    swap(&arrivals, &room.arrivals)
    for arrival in arrivals where sessions.contains(arrival.session) {
      abandonJoin(arrival.session, room, arrival.id)
    }
  }

  /// Compares, after so many milliseconds, what members were told with what the broker knows.
  func comparePresence(in milliseconds: UInt64) {
    presenceDueAt = max(presenceDueAt, steady() + milliseconds)
  }

  /// Compares all rooms when it is time. Called by `expire`.
  func comparePresence(at now: UInt64) {
    guard presenceDueAt > 0, presenceDueAt <= now else { return }
    presenceDueAt = 0
    guard broker.losesNotices else { return }
    rooms.forEach { room in
      guard room.attendance != nil, !room.isReadingAttendance else { return }
      room.isReadingAttendance = true
      broker.users(room: room.name) { [weak self] result in
        guard let self, self.isKnown(room) else { return }
        room.isReadingAttendance = false
        switch result {
        case .success(let users): self.correct(room, to: users)
        // While the broker is away nothing is known: `brokerRestored` has it compared again. One that refuses is asked again.
        case .failure: if self.broker.isWhole { self.comparePresence(in: Limits.presenceCompareMilliseconds) }
        }
        self.takeHeldNotices(in: room)
      }
    }
  }

  /// Tells the members what they have missed.
  private func correct(_ room: Room, to users: [[UInt8]]) {
    guard let told = room.attendance else { return }
    var present = Attendance(users)
    told.forEach { user in
      guard !present.contains(user.span) else { return }
      // This node knows better: it is about to assert its own member again.
      if localMember(user, of: room) != nil {
        _ = present.insert(user.span)
      } else {
        tell(room, hasJoined: false, user)
      }
    }
    for user in users where !told.contains(user.span) { tell(room, hasJoined: true, user) }
    room.attendance = present
  }

  private func tell(_ room: Room, hasJoined: Bool, _ user: [UInt8]) {
    var json: [UInt8] = []
    JSONString.append(user.span, to: &json)
    tell(room, hasJoined: hasJoined, json.span, except: hasJoined ? localMember(user, of: room) : nil)
  }

  /// A session of the user that is in the room on this node, or nil.
  private func localMember(_ name: [UInt8], of room: Room) -> SlabID? {
    var found: SlabID?
    users.find(name.span)?.sessions.forEach { index in
      if sessions[index].subscriptionIndex(room) != nil { found = sessions.id(at: index) }
    }
    return found
  }
}
