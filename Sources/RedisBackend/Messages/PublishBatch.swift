import ClientProtocol
import JSONCore
import Realtime

/// Gathers the publishes of a tick into one run of the script: in Redis, to begin a script costs as much as a message in it.
///
/// Every other command closes the batch first, so that nothing overtakes a message; `PresenceBatch` does so for the rooms that
/// it has in common with this one. In a cluster every message is a batch of its own, for two rooms may have two masters.
/// Confined to the loop of its broker.
final class PublishBatch {
  /// Who gets what became of a message.
  enum Recipient {
    case final(BrokerReply<Position>)
    /// One that sends the message again when the answer is nil: there was none.
    case retrying((Result<Position, BrokerError>?) -> Void)
  }

  /// A message that waits for its answer.
  struct Waiting {
    let message: RoomMessage
    /// The epoch that the node knew of the room; empty: none.
    let epoch: [UInt8]
    let recipient: Recipient
  }

  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let metaMilliseconds: Int
  private let messagesMax: Int
  private var keyWriter = CommandWriter()
  private var keyCount = 0
  private var argumentWriter = CommandWriter()
  private var waiting: [Waiting] = []
  private var rooms: [[UInt8]] = []
  private var scratch: [UInt8] = []
  /// Gets the script's answer for each message, or nil when the command failed in any way. One for all: a closure for each
  /// message would be an allocation of each publish.
  var answered: (Waiting, Reply?) -> Void = { _, _ in }

  /// - Parameters:
  ///   - metaMilliseconds: life of a room's counter.
  ///   - isSharded: whether two rooms may have two masters.
  init(scripts: ScriptRunner, keys: RedisKeys, metaMilliseconds: Int, isSharded: Bool) {
    self.scripts = scripts
    self.keys = keys
    self.metaMilliseconds = metaMilliseconds
    messagesMax = isSharded ? 1 : RedisLimits.batchMessagesMax
  }

  var isEmpty: Bool { waiting.isEmpty }

  /// Whether a message of a room waits to be sent.
  func contains(_ room: [UInt8]) -> Bool { rooms.contains(room) }

  /// Adds a message.
  ///
  /// - Parameters:
  ///   - unknownEpoch: what stands in place of the room's epoch when that is not known.
  ///   - retention: what its room keeps of it.
  ///   - masterTag: of the master that it goes to; empty without a cluster.
  func append(
    _ message: RoomMessage, _ dues: RoomCache.Dues, unknownEpoch: @autoclosure () -> [UInt8], _ retention: Retention,
    masterTag: [UInt8], for recipient: Recipient
  ) {
    keyWriter.bulk(keys.room, message.room, "}:meta")
    keyWriter.bulk(keys.room, message.room, "}:log")
    keyCount += 2
    if message.dedupe != nil {
      keys.writeIDKeys(of: .room(message.room), to: &keyWriter)
      keyCount += 2
    }
    argumentWriter.bulk(keys.room, message.room, "}:ch")
    argumentWriter.bulk(message.envelope, masterTag: masterTag)
    argumentWriter.bulk(dues.epoch.isEmpty ? unknownEpoch() : dues.epoch)
    writeRest(of: message, dues, retention)
    if waiting.last?.message.room != message.room { rooms.append(message.room) }
    waiting.append(Waiting(message: message, epoch: dues.epoch, recipient: recipient))
    let byteCount = keyWriter.bytes.count + argumentWriter.bytes.count
    if waiting.count >= messagesMax || byteCount >= RedisLimits.batchBytesMax { close() }
  }

  /// Writes the argument with what else is to be done; mostly empty.
  private func writeRest(of message: RoomMessage, _ dues: RoomCache.Dues, _ retention: Retention) {
    scratch.removeAll(keepingCapacity: true)
    if let id = message.dedupe {
      scratch.append(0x64)
      scratch.append(contentsOf: IDMemory.fingerprint(scope: IDOwner.room(message.room).scope, id))
    }
    if dues.isTrimDue { append(-max(1, retention.messagesMax)) }
    if dues.isLogDue { append(retention.logMilliseconds) }
    if dues.isMetaDue { append(metaMilliseconds) }
    argumentWriter.bulk(scratch)
  }

  private func append(_ number: Int) {
    scratch.append(0x20)
    if number < 0 { scratch.append(0x2D) }
    JSONNumber.append(UInt64(number.magnitude), to: &scratch)
  }

  /// Sends what was gathered. Called before every other command and at the end of the tick.
  func close() {
    guard !waiting.isEmpty else { return }
    let (count, keyBytes, arguments) = (keyCount, keyWriter.bytes, argumentWriter)
    let parts = keyCount + 4 * waiting.count
    let handler = answerer(waiting)
    (keyWriter, argumentWriter, keyCount, waiting) = (CommandWriter(), CommandWriter(), 0, [])
    rooms.removeAll(keepingCapacity: true)
    scripts.run(.publish, keys: count, parts: parts, isGathered: true, handler) { writer in
      writer.bytes.append(contentsOf: keyBytes)
      if let start = arguments.masterTagStart { writer.masterTagStart = writer.bytes.count + start }
      writer.bytes.append(contentsOf: arguments.bytes)
    }
  }

  /// Gives every message its part of the answer.
  private func answerer(_ messages: [Waiting]) -> ScriptRunner.Handler {
    { [scripts, answered] answer in
      if messages.count == 1 { return answered(messages[0], answer) }
      guard let answer, answer.count == messages.count else {
        for message in messages { answered(message, nil) }
        return
      }
      for (i, message) in messages.enumerated() {
        // The publisher knows the keys of its room.
        answered(message, scripts.checked(.publish, answer[i], keys: { [] }))
      }
    }
  }
}

extension Retention {
  /// Life of a room's log after the last message.
  var logMilliseconds: Int { milliseconds + RedisLimits.logSlackMilliseconds }
}

@available(*, unavailable)
extension PublishBatch: Sendable {}
