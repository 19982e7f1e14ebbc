import JSONCore
import Realtime

/// Gathers the publishes of a tick into one run of the script: in Redis, to begin a script costs as much as a message in it.
///
/// Every other command closes the batch first, so that nothing overtakes a message; `PresenceBatch` does so for the rooms that
/// it has in common with this one. In a cluster every message is a batch of its own, for two rooms may have two masters.
/// Confined to the loop of its broker.
final class PublishBatch {
  /// What the script needs of a message.
  struct Message {
    let room: [UInt8]
    let envelope: [UInt8]
    /// Its id, or nil.
    let dedupe: [UInt8]?
    /// The room's epoch; not known: `r`, which no epoch begins with, and the key of the leader epoch, or nothing.
    let epoch: [UInt8]
    let dues: RoomCache.Dues
    let retention: Retention
    /// The master tag of the master that it goes to; empty without a cluster.
    let masterTag: [UInt8]
  }

  private let scripts: ScriptRunner
  private let keys: RedisKeys
  private let metaMilliseconds: Int
  private let messagesMax: Int
  private var keyWriter = CommandWriter()
  private var keyCount = 0
  private var argumentWriter = CommandWriter()
  private var handlers: [ScriptRunner.Handler] = []
  private var rooms: [[UInt8]] = []
  private var scratch: [UInt8] = []

  /// - Parameters:
  ///   - metaMilliseconds: life of a room's counter.
  ///   - isSharded: whether two rooms may have two masters.
  init(scripts: ScriptRunner, keys: RedisKeys, metaMilliseconds: Int, isSharded: Bool) {
    self.scripts = scripts
    self.keys = keys
    self.metaMilliseconds = metaMilliseconds
    messagesMax = isSharded ? 1 : RedisLimits.batchMessagesMax
  }

  var isEmpty: Bool { handlers.isEmpty }

  /// Whether a message of a room waits to be sent.
  func contains(_ room: [UInt8]) -> Bool { rooms.contains(room) }

  /// Adds a message. `reply` gets the script's answer for it, or nil when the command failed in any way.
  func append(_ message: Message, _ reply: @escaping ScriptRunner.Handler) {
    keyWriter.bulk(keys.room, message.room, "}:meta")
    keyWriter.bulk(keys.room, message.room, "}:log")
    keyCount += 2
    if message.dedupe != nil {
      keys.writeIDKeys(of: .room(message.room), to: &keyWriter)
      keyCount += 2
    }
    argumentWriter.bulk(keys.room, message.room, "}:ch")
    argumentWriter.bulk(message.envelope, masterTag: message.masterTag)
    argumentWriter.bulk(message.epoch)
    writeRest(of: message)
    handlers.append(reply)
    if rooms.last != message.room { rooms.append(message.room) }
    let byteCount = keyWriter.bytes.count + argumentWriter.bytes.count
    if handlers.count >= messagesMax || byteCount >= RedisLimits.batchBytesMax { close() }
  }

  /// Writes the argument with what else is to be done; mostly empty.
  private func writeRest(of message: Message) {
    scratch.removeAll(keepingCapacity: true)
    if let id = message.dedupe {
      scratch.append(0x64)
      scratch.append(contentsOf: IDMemory.fingerprint(scope: IDOwner.room(message.room).scope, id))
    }
    if message.dues.isTrimDue { append(-max(1, message.retention.messagesMax)) }
    if message.dues.isLogDue { append(message.retention.logMilliseconds) }
    if message.dues.isMetaDue { append(metaMilliseconds) }
    argumentWriter.bulk(scratch)
  }

  private func append(_ number: Int) {
    scratch.append(0x20)
    if number < 0 { scratch.append(0x2D) }
    JSONNumber.append(UInt64(number.magnitude), to: &scratch)
  }

  /// Sends what was gathered. Called before every other command and at the end of the tick.
  func close() {
    guard !handlers.isEmpty else { return }
    let (count, keyBytes, arguments) = (keyCount, keyWriter.bytes, argumentWriter)
    let parts = keyCount + 4 * handlers.count
    let handler = answerer(handlers)
    (keyWriter, argumentWriter, keyCount, handlers) = (CommandWriter(), CommandWriter(), 0, [])
    rooms.removeAll(keepingCapacity: true)
    scripts.run(.publish, keys: count, parts: parts, isGathered: true, handler) { writer in
      writer.bytes.append(contentsOf: keyBytes)
      if let start = arguments.masterTagStart { writer.masterTagStart = writer.bytes.count + start }
      writer.bytes.append(contentsOf: arguments.bytes)
    }
  }

  /// Gives every message its part of the answer.
  private func answerer(_ handlers: [ScriptRunner.Handler]) -> ScriptRunner.Handler {
    if handlers.count == 1 { return handlers[0] }
    return { [scripts] answer in
      guard let answer, answer.count == handlers.count else {
        for handler in handlers { handler(nil) }
        return
      }
      for (i, handler) in handlers.enumerated() {
        // The publisher knows the keys of its room.
        scripts.finish(.publish, answer[i], handler) { [] }
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
