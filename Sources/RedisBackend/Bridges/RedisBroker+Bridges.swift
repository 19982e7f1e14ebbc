import ClientProtocol
import Realtime

extension RedisBroker {
  /// Publishes a message that its caller sends again by itself, with what its room keeps by the rules: what gets no answer
  /// fails at once, in the order of sending. Its `dedupe` makes that safe.
  package func publishWithoutRetry(
    envelope: [UInt8], in room: [UInt8], dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Position>
  ) {
    let configuration = context.configuration
    let retention = configuration.rules.retention(of: room, standard: configuration.retention)
    publisher.publishWithoutRetry(
      RoomMessage(room: room, envelope: envelope, dedupe: dedupe, retention: retention), reply)
  }

  /// Whether the rooms are with several masters.
  package var isSharded: Bool { context.shards.isSharded }
}
