import ClientProtocol
import JSONCore

// Rooms: joining, publishing, members.

extension Roost {
  func join(_ name: String) async throws -> Joined {
    let entry = try entry(name)
    return try await withCheckedThrowingContinuation { entry.await($0) }
  }

  /// The room, which is being joined if it was not.
  private func entry(_ name: String) throws(ClientError) -> RoomEntry {
    use()
    if case .closed(_, let reason) = state {
      throw ClientError(.closed, "the client is closed (\(reason)): call connect()")
    }
    if let known = rooms[name] { return known }
    let entry = addRoom(name)
    enter(entry)
    return entry
  }

  func addRoom(_ name: String) -> RoomEntry {
    let entry = RoomEntry(name)
    rooms[name] = entry
    if entry.isWildcard { wildcardCount += 1 }
    return entry
  }

  func removeRoom(_ name: String) -> RoomEntry? {
    let entry = rooms.removeValue(forKey: name)
    if entry?.isWildcard == true { wildcardCount -= 1 }
    return entry
  }

  func leave(_ name: String) {
    guard let entry = removeRoom(name) else { return }
    entry.end(nil, waiters: ClientError(.closed, "the room was left before it was joined"))
    // A connection that is lost has left as well.
    if state == .open { call(.leave, room: name, settle: { _, _ in }, { _ in }) }
  }

  func messages(of name: String) async throws -> Feed<Message> {
    let entry = try entry(name)
    let feed = entry.messages.add(options) { [weak self] id in Task { await self?.removeReader(id, of: name) } }
    _ = try await withCheckedThrowingContinuation { entry.await($0) }
    return feed
  }

  private func removeReader(_ id: UInt64, of name: String) { rooms[name]?.messages.remove(id) }

  func publish(_ data: JSON, in name: String, echo: Bool, ephemeral: Bool) async throws -> Ack {
    let members = try data.publishedMembers()
    let note: Call.Settle = { roost, result in
      guard !echo, case .success(let reply) = result, let epoch = reply.message.epoch, let offset = reply.message.offset
      else { return }
      roost.rooms[name]?.noteOwn(offset, epoch: string(epoch))
    }
    let reply = try await call(.message, room: name, resends: true, note: note) { writer in
      for (key, isOn) in [("echo" as StaticString, echo), ("ephemeral", ephemeral)] where isOn {
        writer.key(key)
        writer.bool(true)
      }
      writer.raw(members)
    }
    return Ack(epoch: reply.message.epoch.map(string), offset: reply.message.offset)
  }

  func setState(_ value: JSON?, in name: String) async throws {
    try value?.check()
    _ = try await call(.state, room: name, resends: true) { $0.state(value) }
    rooms[name]?.userState = value
  }

  func history(of name: String, limit: Int, since: (epoch: String, offset: UInt64)?) async throws -> History {
    let reply = try await call(.history, room: name, resends: true) { writer in
      writer.key("limit")
      writer.integer(limit)
      guard let since else { return }
      writer.since(since.epoch, since.offset)
    }
    return History(reply)
  }

  // MARK: Joining

  /// Joins a room where it was left.
  func enter(_ entry: RoomEntry) {
    guard !entry.isEntering, state == .open, rooms[entry.name] === entry else { return }
    entry.isEntering = true
    let (name, mine) = (entry.name, generation)
    call(
      .join, room: name, settle: { roost, result in roost.entered(name, result, mine) },
      { writer in if let epoch = entry.epoch { writer.since(epoch, entry.offset) } })
  }

  private func entered(_ name: String, _ result: Result<Reply, ClientError>, _ mine: UInt64) {
    guard mine == generation, let entry = rooms[name] else { return }
    entry.isEntering = false
    switch result {
    case .success(let reply): entered(entry, reply.message)
    case .failure(let error) where error.isPassing:
      after(.milliseconds(Int.random(in: ClientLimits.rejoinMilliseconds)), mine) { roost in
        if let entry = roost.rooms[name] { roost.enter(entry) }
      }
    case .failure(let error):
      _ = removeRoom(name)
      entry.end(error, waiters: error)
      report(error, room: name)
      // What waited for the room is refused as well.
      flush()
    }
  }

  private func entered(_ entry: RoomEntry, _ message: ServerMessage) {
    let isBack = entry.joined != nil && !entry.isJoined
    // What rooms of a wildcard said meanwhile is not replayed.
    let recovered = isBack && entry.isWildcard ? false : message.recovered
    let joined = Joined(entry.name, message, recovered: recovered)
    entry.enter(joined)
    eventReaders.give(.joined(joined))
    flush()
    if entry.members != nil { readMembers(entry) }
    guard isBack, let state = entry.userState, !calls.contains(.state, in: entry.name) else { return }
    call(.state, room: entry.name, settle: { _, _ in }, { $0.state(state) })
  }

  // MARK: Members

  func members(of name: String) async throws -> [Member] {
    let book = try book(of: name)
    return try await withCheckedThrowingContinuation { book.await($0) }
  }

  func memberChanges(of name: String) async throws -> AsyncStream<[Member]> {
    try book(of: name).watch { [weak self] id in Task { await self?.unwatch(id, of: name) } }
  }

  private func unwatch(_ id: UInt64, of name: String) { rooms[name]?.members?.unwatch(id) }

  private func book(of name: String) throws(ClientError) -> MemberBook {
    let entry = try entry(name)
    if let book = entry.members { return book }
    let book = MemberBook()
    entry.members = book
    if entry.isJoined { readMembers(entry) }
    return book
  }

  /// Reads who is in a room, from the first page on.
  func readMembers(_ entry: RoomEntry) {
    guard let book = entry.members else { return }
    book.beginReading()
    readPage(of: entry.name, after: nil, generation)
  }

  private func readPage(of name: String, after user: String?, _ mine: UInt64) {
    call(
      .presence, room: name, settle: { roost, result in roost.takePage(of: name, result, mine) },
      { writer in
        writer.key("limit")
        writer.integer(ClientLimits.presencePage)
        guard let user else { return }
        writer.key("after")
        writer.string(user)
      })
  }

  private func takePage(of name: String, _ result: Result<Reply, ClientError>, _ mine: UInt64) {
    // After another join it is read anew.
    guard mine == generation, let entry = rooms[name], let book = entry.members, book.isReading else { return }
    switch result {
    case .failure(let error) where error.isPassing:
      book.stopReading()
      after(.milliseconds(Int.random(in: ClientLimits.rejoinMilliseconds)), mine) { roost in
        if let entry = roost.rooms[name], entry.members?.isReading == false { roost.readMembers(entry) }
      }
    case .failure(let error):
      book.stopReading()
      book.fail(error)
    case .success(let reply):
      let (members, more) = Member.page(reply)
      book.add(members)
      if more, let last = members.last {
        readPage(of: name, after: last.user, mine)
      } else {
        book.finishReading()
      }
    }
  }
}
