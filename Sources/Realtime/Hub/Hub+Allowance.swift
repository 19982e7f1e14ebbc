// How much a client may do: operations and bytes a second, publishes a second in a room, connections of a user.

extension Hub {
  /// Charges an operation of so many bytes to its session. Over a limit it is refused with `rate_limited`, and who goes on
  /// all the same is closed with 4429. Returns whether the operation may be done.
  func charge(_ id: SlabID, bytes: Int, _ text: Span<UInt8>, _ answerID: Range<Int>?) -> Bool {
    guard let allowance = allowance(of: id) else { return true }
    let now = steady()
    guard case .refused(let limit, let perSecond) = allowance.charge(bytes: bytes, at: now) else { return true }
    counters.refusals.add(limit)
    if isPatienceAtEnd(with: id, allowance, at: now) { return false }
    let unit = limit == .bytes ? "bytes" : "operations"
    refuse(
      id, .rateLimited, "more than \(perSecond) \(unit) a second: send more slowly",
      answerID.map { [UInt8](copying: text.extracting($0)) })
    return false
  }

  /// Charges a ping of the client's (RFC 6455 section 5.5.2). Returns whether it shall be answered: of several pings the
  /// last one's answer is enough (section 5.5.3).
  public func chargePing(_ id: SlabID, bytes: Int) -> Bool {
    guard sessions.contains(id), let allowance = allowance(of: id) else { return true }
    let now = steady()
    guard case .refused(let limit, _) = allowance.charge(bytes: bytes, at: now) else { return true }
    counters.refusals.add(limit)
    _ = isPatienceAtEnd(with: id, allowance, at: now)
    return false
  }

  private func isPatienceAtEnd(with id: SlabID, _ allowance: SendAllowance, at now: UInt64) -> Bool {
    guard allowance.exceedsPatience(at: now) else { return false }
    close(id, because: .rateLimited)
    return true
  }

  func allowance(of id: SlabID) -> SendAllowance? {
    if let known = sessions[id.index].allowance { return known }
    let isLocal = sessions[id.index].isLocal
    let operations = configuration.operationsPerSecond.value(isLocal: isLocal)
    let bytes = configuration.bytesPerSecond.value(isLocal: isLocal)
    guard operations > 0 || bytes > 0 || configuration.newRoomsPerSecond.value(isLocal: isLocal) > 0 else { return nil }
    let now = steady()
    let made =
      recentAllowances.take(of: owner(of: id), at: now)
      ?? SendAllowance(
        operationsPerSecond: operations, bytesPerSecond: bytes, messageBytesMax: configuration.messageBytesMax,
        now: now)
    sessions[id.index].allowance = made
    return made
  }

  // MARK: Connecting again

  /// Whose rates a session counts for when it has closed: its user's if a token names it, else its address's, because a
  /// name that nobody has proved is another one every time.
  private func owner(of id: SlabID) -> RecentAllowances.Owner {
    sessions[id.index].identity.map { .user($0.user) } ?? .init(address: sessions[id.index].address)
  }

  /// Keeps what a session that ends has left of its rates.
  func keepAllowance(of id: SlabID) {
    guard let allowance = sessions[id.index].allowance else { return }
    recentAllowances.keep(allowance, of: owner(of: id), at: steady())
  }

  /// Holds a session that has just got a user to what the user's last connection has left. Until now its address counted.
  func inheritAllowance(_ id: SlabID) {
    guard let allowance = sessions[id.index].allowance else { return }
    let now = steady()
    guard let left = recentAllowances.take(of: owner(of: id), at: now) else { return }
    allowance.limit(to: left, at: now)
  }

  /// Charges a publish to its room, where this node has it. Returns whether it may go on; else it was refused with
  /// `rate_limited`.
  func chargePublish(in room: Room?, _ caller: Caller, _ answerID: [UInt8]?) -> Bool {
    guard let room else { return true }
    let perSecond = configuration.roomPublishesPerSecond.value(isLocal: isLocal(caller))
    guard perSecond > 0 else { return true }
    let now = steady()
    let allowance = room.allowance ?? PublishAllowance(perSecond: perSecond, now: now)
    room.allowance = allowance
    guard !allowance.take(at: now) else { return true }
    counters.refusals.add(.roomPublishes)
    refuse(caller, .rateLimited, "the room takes \(perSecond) messages a second on this node: send it later", answerID)
    return false
  }

  /// Whether the user may have one more connection on this node; else this one is closed with 4429.
  func admits(_ id: SlabID, as user: LocalUser) -> Bool {
    let max = configuration.connectionsPerUser.value(isLocal: sessions[id.index].isLocal)
    guard max > 0, user.sessions.count >= Int(max) else { return true }
    counters.refusals.add(.connectionsPerUser)
    close(id, because: .tooManyConnections)
    return false
  }
}
