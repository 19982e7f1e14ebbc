import ClientProtocol
import JSONCore

// What the server sends.

extension Roost {
  func take(_ event: LinkEvent, _ mine: UInt64) {
    guard mine == generation else { return }
    hasHeard = true
    switch event {
    case .alive: break
    case .texts(let texts): for text in texts where mine == generation { receive(text) }
    case .binaries(let payloads): for payload in payloads { receive(binary: payload) }
    case .lost(let reason): lost(code: 1006, reason: reason)
    }
  }

  private func receive(_ text: [UInt8]) {
    guard let message = try? ServerMessage(parsing: text.span) else { return }
    // The welcome may have come before it was known.
    if message.isType("auth_success"), let user = message.user { welcome?.user = string(user) }
    if let id = message.id, settle(id, message, text) { return }
    if message.isType("message") { return received(message, text) }
    if message.isType("welcome") {
      return opened(Welcome(message))
    }
    if message.isType("direct") || message.isType("broadcast") {
      let personal = PersonalMessage(user: message.user.map(string), json: JSON(text))
      return eventReaders.give(message.isType("direct") ? .direct(personal) : .broadcast(personal))
    }
    if message.isType("joined") { return renewed(string(message.room ?? []), message) }
    if let notice = Notice(message, text) { received(notice) }
  }

  private func received(_ message: ServerMessage, _ text: [UInt8]) {
    guard let shown = Message(message, text), advance(shown.room, to: shown.offset) else { return }
    deliver(shown)
  }

  private func deliver(_ message: Message) {
    rooms[message.room]?.messages.give(message)
    if wildcardCount > 0 {
      for room in rooms.values where room.matches(message.room) { room.messages.give(message) }
    }
    if !eventReaders.isEmpty { eventReaders.give(.message(message)) }
  }

  /// Moves a room's position forward; false for what was seen already or is of a room just left.
  private func advance(_ name: String, to offset: UInt64?) -> Bool {
    guard let room = rooms[name] else { return wildcardCount > 0 && rooms.values.contains { $0.matches(name) } }
    guard let offset else { return true }
    if room.advance(to: offset) { return true }
    // A copy, or a new epoch that counts from 1 again: a join from here tells which, and costs nothing if a copy.
    enter(room)
    return false
  }

  private func received(_ notice: Notice) {
    switch notice {
    case .event(let event):
      note(event)
      eventReaders.give(event)
    case .tokenExpires(let moment):
      eventReaders.give(.tokenExpires(at: moment))
      renewToken()
    case .reconnect(let milliseconds):
      // The node is draining: move at the moment it gave, before it closes, with no wait.
      after(.milliseconds(milliseconds), generation) { roost in
        roost.lost(code: 1012, reason: "the node drains", atOnce: true)
      }
    }
  }

  /// Notes what an event of a room changes.
  private func note(_ event: Event) {
    switch event {
    case .userJoined(let room, let user, let info): rooms[room]?.members?.take(.came(user, info: info))
    case .userLeft(let room, let user): rooms[room]?.members?.take(.went(user))
    case .userState(let room, let user, let state):
      rooms[room]?.members?.take(.state(user, state))
      // Another device of this user may have set a newer one: that one is set again after a reconnect.
      if user == welcome?.user, rooms[room]?.userState != nil { rooms[room]?.userState = state }
    case .presenceUpdate(let name, _, let joined, let left, let more):
      guard let room = rooms[name], let book = room.members else { return }
      for user in joined { book.take(.came(user, info: nil)) }
      for user in left { book.take(.went(user)) }
      if more, !book.isReading { readMembers(room) }
    case .gap(let room, _, let to): _ = rooms[room]?.advance(to: to)
    // Moved out by an operator, or no longer allowed.
    case .left(let room): removeRoom(room)?.end(nil, waiters: ClientError(.forbidden, "taken out of the room"))
    default: break
    }
  }

  /// A `joined` that this client has not asked for: another epoch has begun, or an operator moved it in.
  private func renewed(_ name: String, _ message: ServerMessage) {
    guard let epoch = message.epoch.map(string), let offset = message.offset else { return }
    let joined = Joined(name, message, recovered: message.recovered)
    if let room = rooms[name] {
      guard !room.isEntering else { return }
      room.renew(epoch: epoch, offset: offset, recovered: message.recovered ?? false)
    } else {
      addRoom(name).enter(joined)
    }
    eventReaders.give(.joined(joined))
  }

  private func receive(binary bytes: [UInt8]) {
    guard let event = Event(binary: bytes), case .binary(let room, _, _) = event else { return }
    // It does not carry its offset, but within a room none is left out: it is the next one.
    if let entry = rooms[room] { _ = entry.advance(to: entry.offset + 1) }
    eventReaders.give(event)
  }
}
