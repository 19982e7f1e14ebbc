import ClientProtocol
import Realtime

/// Remembers the deliveries of incoming hooks, for all nodes.
struct HookDeliveryStore {
  private let context: BrokerContext

  init(_ context: BrokerContext) { self.context = context }

  func delivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>
  ) {
    guard context.isAvailable else { return reply(.failure(.unavailable)) }
    var text: [UInt8] = []
    position?.append(to: &text)
    let answer: ScriptRunner.Handler = { answer in
      guard let answer, answer.kind == .string || answer.kind == .null else {
        return reply(.failure(BrokerError(answer)))
      }
      reply(.success(answer.position))
    }
    context.scripts.run(.deliveries, keys: 2, parts: 6, answer) { [keys = context.keys] writer in
      writer.bulk(keys.hook, hook, "}:new")
      writer.bulk(keys.hook, hook, "}:old")
      writer.bulk(id)
      writer.bulk(text)
      writer.bulk(Limits.hookDeliveriesMax)
      writer.bulk(Limits.hookDeliveryMilliseconds)
    }
  }
}
