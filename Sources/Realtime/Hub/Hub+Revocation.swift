import JSONCore

// Tokens and users that are no longer accepted. The broker keeps them for nodes that start later or were cut off; those
// that are there are told by the channel for everyone.

extension Hub {
  /// Has every node refuse a user's tokens, or one token, from now on, and close what was opened with them.
  ///
  /// Answers with the moment at which that ends, or nil when `Limits.revocationsMax` stand already. After a failure it may
  /// stand, but not every node may have been told: ask again.
  public func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    broker.revoke(subject, forMilliseconds: milliseconds) { [weak self] result in
      guard let self, case .success(let until?) = result else { return reply(result) }
      broker.send(order(Revocation(subject: subject, until: until)), to: .everyone) { sent in
        reply(sent.map { _ in until })
      }
    }
  }

  /// Reads what the broker keeps and obeys it; tells the broker what it has lost, so that a Redis which was restarted
  /// empty has it again. The node calls it before it takes connections, the hub whenever it may
  /// have missed something.
  public func refreshRevocations(_ done: @escaping () -> Void) {
    broker.revocations { [weak self] result in
      defer { done() }
      guard let self, case .success(let revocations) = result else { return }
      restore(revocations)
      for revocation in revocations { self.revocations.insert(revocation) }
      closeRevoked()
    }
  }

  private func restore(_ kept: [Revocation]) {
    let now = clock()
    let kept = Set(kept.map(\.subject))
    for revocation in revocations.standing(at: now) where !kept.contains(revocation.subject) {
      broker.revoke(revocation.subject, forMilliseconds: revocation.until - now) { _ in }
    }
  }

  /// Judges a token, revocations included. Called only where tokens are asked for.
  public func judge(_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) {
    judgeToken?(token) { [weak self] verdict in
      if case .accepted(let identity) = verdict, self?.isRevoked(identity) == true {
        conclude(.refused(reason: Hub.revokedReason))
      } else {
        conclude(verdict)
      }
    }
  }

  /// Whether what was opened under an identity is to be refused now.
  func isRevoked(_ identity: Identity) -> Bool { !revocations.isEmpty && revocations.covers(identity, at: clock()) }

  /// Why a user whose name is believed may do nothing now; nil: it may.
  public func refusal(ofUser name: [UInt8]) -> String? {
    isRevoked(Identity(user: name)) ? Hub.revokedReason : nil
  }

  /// What a client whose token or user was revoked is told.
  static let revokedReason = "revoked"

  func obeyRevocation(_ body: Span<UInt8>) {
    guard let order = try? JSONValue.parse(body), let text = order["subject"]?.asBytes,
      let subject = Revocation.Subject(text: text.span), let until = order["until"]?.asInt
    else { return }
    revocations.insert(Revocation(subject: subject, until: UInt64(max(0, until))))
    closeRevoked()
  }

  private func order(_ revocation: Revocation) -> [UInt8] {
    var envelope: [UInt8] = []
    Envelope.begin(.revoke, timestamp: clock(), origin: [], userJSON: Array("null".utf8), into: &envelope)
    var writer = JSONWriter(appendingTo: envelope)
    writer.beginObject()
    writer.key("subject")
    writer.string(revocation.subject.text)
    writer.key("until")
    writer.unsigned(revocation.until)
    writer.endObject()
    return writer.finish()
  }

  private func closeRevoked() {
    guard !revocations.isEmpty else { return }
    for index in 0..<sessions.end where sessions.isOccupied(index) {
      guard let user = sessions[index].user else { continue }
      if isRevoked(sessions[index].identity ?? Identity(user: user.name)) {
        endUnauthenticated(sessions.id(at: index), reason: Hub.revokedReason, answerID: nil)
      }
    }
  }
}
