import ClientProtocol
import JSONCore

/// Tokens and users that are no longer accepted. The broker keeps them for nodes that start later or were cut off; those that
/// are there learn of them by the channel for everyone.
/// Confined to the loop that created its hub.
final class Revocations {
  private let context: HubContext
  private var list = RevocationList()
  /// Ends a session that a revocation covers. Set before the first session.
  var endSession: (SlabID) -> Void = { _ in }
  /// Called when what has no session may be revoked. Set before the first session.
  var endOthers: () -> Void = {}

  init(_ context: HubContext) {
    self.context = context
  }

  /// Has every node refuse a user's tokens, or one token, from now on, and close what was opened with them.
  ///
  /// Answers with the moment at which that ends, or nil when `Limits.revocationsMax` stand already. After a failure it may
  /// stand, but some nodes may not have received it: ask again.
  func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    context.broker.revoke(subject, forMilliseconds: milliseconds) { [weak self] result in
      guard let self, case .success(let until?) = result else { return reply(result) }
      context.broker.send(order(Revocation(subject: subject, until: until)), to: .everyone) { sent in
        reply(sent.map { _ in until })
      }
    }
  }

  /// Reads which revocations the broker keeps and applies them; gives it those that it lost, so that a Redis which was restarted
  /// empty has it again. The node calls it before it takes connections, the hub whenever it may
  /// have missed something.
  func refreshRevocations(_ done: @escaping () -> Void) {
    context.broker.revocations { [weak self] result in
      defer { done() }
      guard let self, case .success(let revocations) = result else { return }
      restore(revocations)
      for revocation in revocations { list.insert(revocation) }
      closeRevoked()
    }
  }

  private func restore(_ kept: [Revocation]) {
    let now = context.clock()
    let kept = Set(kept.map(\.subject))
    for revocation in list.standing(at: now) where !kept.contains(revocation.subject) {
      context.broker.revoke(revocation.subject, forMilliseconds: revocation.until - now) { _ in }
    }
  }

  /// Whether what was opened under an identity is to be refused now.
  func isRevoked(_ identity: Identity) -> Bool { !list.isEmpty && list.covers(identity, at: context.clock()) }

  func applyRevocation(_ body: Span<UInt8>) {
    guard let order = try? JSONValue.parse(body), let text = order["subject"]?.asBytes,
      let subject = Revocation.Subject(text: text.span), let until = order["until"]?.asInt
    else { return }
    list.insert(Revocation(subject: subject, until: UInt64(max(0, until))))
    closeRevoked()
  }

  private func order(_ revocation: Revocation) -> [UInt8] {
    var envelope: [UInt8] = []
    Envelope.begin(.revoke, timestamp: context.clock(), origin: [], userJSON: Array("null".utf8), into: &envelope)
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
    guard !list.isEmpty else { return }
    for index in 0..<context.sessions.end where context.sessions.isOccupied(index) {
      guard let user = context.sessions[index].user else { continue }
      if isRevoked(context.sessions[index].identity ?? Identity(user: user.name)) {
        endSession(context.sessions.id(at: index))
      }
    }
    endOthers()
  }

  /// Forgets what has ended.
  func expire(at date: UInt64) { list.expire(at: date) }
}
