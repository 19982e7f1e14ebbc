import ClientProtocol

// What the broker brings, handed to the part that it is for.

extension Hub: BrokerListener {
  public func received(room name: Span<UInt8>, at position: Position, envelope: Span<UInt8>) {
    guard let room = context.rooms.find(name) ?? lifetimes.makeWildcardRoom(name) else { return }
    streams.receive(room, position, envelope)
  }

  public func received(room name: Span<UInt8>, notice: Span<UInt8>) {
    announcements.received(room: name, notice: notice)
  }

  public func received(user name: Span<UInt8>, envelope bytes: Span<UInt8>) -> Int {
    personalMessages.received(user: name, envelope: bytes)
  }

  public func receivedByEveryone(envelope bytes: Span<UInt8>) { personalMessages.receivedByEveryone(envelope: bytes) }

  public func received(question: Span<UInt8>, from node: [UInt8], _ answer: @escaping ([UInt8]) -> Void) {
    answerQuestion([UInt8](copying: question), answer)
  }

  public func brokerLost() { streams.brokerLost() }

  /// What comes next in these rooms is held: after a failover it may be another stream than the one known here.
  public func subscriptionsLost(where isAffected: RoomFilter?) { streams.subscriptionsLost(where: isAffected) }

  public func brokerRestored(where isAffected: RoomFilter?) {
    announcements.comparePresence(in: Limits.presenceCompareMilliseconds)
    wildcardJoins.announceUnknownGap()
    revocations.refreshRevocations {}
    streams.brokerRestored(where: isAffected)
  }

  public func roomsUnverified(where isAffected: RoomFilter?) {
    announcements.comparePresence(in: Limits.presenceCompareMilliseconds)
    streams.reconcile(isAffected) {}
  }

  public func graceBegan(in room: [UInt8], milliseconds: Int) { graces.graceBegins(in: room, milliseconds) }

  public func presenceLost() {
    announcements.comparePresence(in: Limits.presenceAssertMilliseconds)
    // What forgot the members has likely forgotten the rooms too: without a message nobody would notice.
    streams.reconcile(nil) {}
    announcements.assertMembers()
  }

  public func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool {
    // A session that a drain has closed stays in presence until the broker hands it over.
    guard !isHandingOver else { return true }
    guard let session = context.localSession(named: connection) else { return false }
    guard let room else { return true }
    guard let room = context.rooms.find(room.span), room.rule.hasPresence else { return false }
    return context.sessions[session.index].subscriptionIndex(room) != nil
  }

  public func nodeReport() -> [UInt8] { makeReport() }
}
