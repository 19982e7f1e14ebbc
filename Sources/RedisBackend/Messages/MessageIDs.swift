import Realtime

/// Keeps the ids that Redis remembers within their bounds.
final class MessageIDs {
  private var memory: IDMemory
  private let context: BrokerContext

  init(_ context: BrokerContext) {
    self.context = context
    memory = IDMemory(byteCount: context.configuration.dedupeBytes)
  }

  /// Ids that Redis forgot before their time, because more came than `dedupe-memory` holds; about, and those that this node
  /// noticed only.
  var forgottenTotal: UInt64 { memory.forgottenTotal }

  /// Checks every place again before the next id: Redis may have lost what it had.
  func forgetPlaces() { memory.forgetPlaces() }

  /// Checks the place where an id is about to be published, when that is due.
  func bound(_ owner: IDOwner) {
    guard memory.isLookDue(in: context.keys.idPlace(of: owner), now: context.loop.now) else { return }
    let answer: ScriptRunner.Handler = { [weak self] reply in
      if let reply, reply.kind == .integer { self?.memory.forgottenTotal &+= UInt64(max(0, reply.integer)) }
    }
    let idsPerHash = memory.idsPerHash
    context.scripts.run(.ids, keys: 2, parts: 5, answer) { [keys = context.keys] writer in
      keys.writeIDKeys(of: owner, to: &writer)
      writer.bulk(idsPerHash)
      writer.bulk(IDMemory.lifeMilliseconds)
      writer.bulk(IDMemory.milliseconds)
    }
  }
}

@available(*, unavailable)
extension MessageIDs: Sendable {}
