import JSONCore
import Realtime

/// Writes and reads revocations, which are in one sorted set.
struct RevocationStore {
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  func revoke(
    _ subject: Revocation.Subject, forMilliseconds milliseconds: UInt64, _ reply: @escaping BrokerReply<UInt64?>
  ) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, answer.kind == .integer else { return reply(.failure(BrokerError(answer))) }
      reply(.success(answer.integer > 0 ? UInt64(answer.integer) : nil))
    }
    context.scripts.run(.revoke, keys: 1, parts: 4, answer) { [keys = context.keys] writer in
      writer.bulk(keys.revoked)
      writer.bulk(subject.text)
      writer.bulk(Int(clamping: min(milliseconds, Limits.revocationMillisecondsMax)))
      writer.bulk(Limits.revocationsMax)
    }
  }

  func revocations(_ reply: @escaping BrokerReply<[Revocation]>) {
    let answer: PendingReplies.Handler = { answer in
      guard let answer, answer.kind == .array else { return reply(.failure(.unavailable)) }
      let entries = stride(from: 0, to: answer.count - 1, by: 2)
      reply(.success(entries.compactMap { RevocationStore.revocation(answer[$0].bytes, until: answer[$0 + 1].bytes) }))
    }
    context.commands.request(answer) { writer in
      writer.command(parts: 5)
      writer.bulk("ZRANGE")
      writer.bulk(context.keys.revoked)
      writer.bulk(0)
      writer.bulk(-1)
      writer.bulk("WITHSCORES")
    }
  }

  /// Nil for an entry that no node of this version wrote.
  private static func revocation(_ text: Span<UInt8>, until: Span<UInt8>) -> Revocation? {
    guard let subject = Revocation.Subject(text: text), let until = JSONNumber.unsigned(until) else { return nil }
    return Revocation(subject: subject, until: until)
  }
}
