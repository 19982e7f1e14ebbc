import BridgeCore
import LoopCore
import Realtime
import RedisBackend
import Settings

/// Brings records into the bridge, lane by lane. Confined to the loop.
protocol InboundSource: AnyObject {
  /// Records that are known to wait.
  var lag: Int { get }
  /// Whether nothing of it is on its way to Redis.
  var isQuiet: Bool { get }
  /// Takes no more records; what is on its way may still be confirmed.
  func beginStop()
  /// Confirms what is done, and begins to end.
  func stop()
  /// Whether the other side has every confirmation, or cannot be reached.
  var hasEnded: Bool { get }
}

/// What lanes share.
struct LaneContext {
  let loop: EventLoop
  let bridge: BridgeSettings
  let broker: RedisBroker
  let counters: BridgeCounters
  let log: OnceLog
  let clock: () -> UInt64
  let messageBytesMax: Int
  /// Where dead letters go.
  let sink: any BridgeSink
}

/// One partition or one queue: publishes its records in their order, and confirms up to the first that is not in Redis.
/// Confined to the loop.
final class InLane {
  /// Records that a lane holds before its source is paused, and their bytes.
  static let recordsMax = 2000
  static let bytesMax = 8 << 20
  /// Records on their way to Redis: it answers so many in some milliseconds.
  private static let inFlightMax = 512
  /// The first step and the last of the time before records are sent again.
  private static let backoffMilliseconds = 50...1000

  private struct Item {
    let record: InboundRecord
    let tag: UInt64
    var outcome: RecordOutcome
  }

  private let context: LaneContext
  private let mapping: RecordMapping
  private let deadLetter: String
  private var ledger = AckLedger<Item>()
  private var byteCount = 0
  /// Rooms with a message on its way; only with several masters, where a later one could overtake it.
  private var busyRooms: Set<[UInt8]> = []
  private var isPaused = false
  private var isStalled = false
  private var isPumping = false
  private var isClosed = false
  private var backoff = 0

  /// Called with the tag of the last record that is done with all before it.
  var confirm: (_ tag: UInt64) -> Void = { _ in }
  var setPaused: (Bool) -> Void = { _ in }

  init(_ context: LaneContext, _ input: BridgeInput) {
    self.context = context
    mapping = RecordMapping(input, bridge: context.bridge.name, messageBytesMax: context.messageBytesMax)
    deadLetter = input.deadLetterName
  }

  /// Records that are not done.
  var count: Int { ledger.count }
  var inFlight: Int { ledger.inFlight }

  func receive(_ record: InboundRecord, tag: UInt64) {
    guard !isClosed else { return }
    byteCount += record.byteCount
    ledger.append(Item(record: record, tag: tag, outcome: mapping.outcome(of: record, now: context.clock())))
    if !isPaused, ledger.count >= Self.recordsMax || byteCount >= Self.bytesMax { pause(true) }
    pump()
  }

  /// Takes and sends nothing more.
  func close() { isClosed = true }

  private func pause(_ flag: Bool) {
    isPaused = flag
    setPaused(flag)
  }

  private func pump() {
    guard !isPumping else { return }
    isPumping = true
    defer { isPumping = false }
    while !isStalled, !isClosed, ledger.inFlight < Self.inFlightMax, let upcoming = ledger.upcoming {
      if case .publish(let room, _, _) = upcoming.outcome, context.broker.isSharded, busyRooms.contains(room) { return }
      guard let (number, item) = ledger.next() else { return }
      switch item.outcome {
      case .publish(let room, let envelope, let id): publish(number, item, room, envelope, id)
      case .deadLetter(let reason): moveToDeadLetters(number, item, reason)
      }
    }
  }

  private func publish(_ number: Int, _ item: Item, _ room: [UInt8], _ envelope: [UInt8], _ id: [UInt8]?) {
    if context.broker.isSharded { busyRooms.insert(room) }
    context.broker.publishWithoutRetry(envelope: envelope, in: room, dedupe: id) { [weak self] result in
      guard let self else { return }
      busyRooms.remove(room)
      switch result {
      case .success:
        backoff = 0
        context.counters.add(.inPublished)
        finish(number, item)
      case .failure(.refused), .failure(.unsupported): moveToDeadLetters(number, item, "Redis refuses the room's key")
      case .failure: retry(number)
      }
    }
  }

  private func moveToDeadLetters(_ number: Int, _ item: Item, _ reason: String) {
    let name = deadLetter
    let record = OutboundRecord(deadLetter: item.record, to: name, kind: context.bridge.kind, reason: reason)
    context.sink.send(record) { [weak self] result in
      guard let self else { return }
      switch result {
      case .written:
        context.counters.add(.inDeadLetter)
        context.log.warn(
          "a record of \(String(decoding: item.record.source, as: UTF8.self)) went to \(name): \(reason)")
        finish(number, item)
      case .refused(let problem):
        context.log.warn("\(name) refuses a dead letter, which is tried again: \(problem)")
        retry(number)
      case .failed: retry(number)
      }
    }
  }

  private func finish(_ number: Int, _ item: Item) {
    byteCount -= item.record.byteCount
    if let last = ledger.finish(number) { confirm(last.tag) }
    if isStalled { return resumeLater() }
    if isPaused, ledger.count <= Self.recordsMax / 2, byteCount <= Self.bytesMax / 2 { pause(false) }
    pump()
  }

  /// Sends nothing more until everything on its way was answered, then the failed records again in their order.
  private func retry(_ number: Int) {
    ledger.fail(number)
    context.counters.add(.inRetried)
    isStalled = true
    resumeLater()
  }

  private func resumeLater() {
    guard ledger.inFlight == 0 else { return }
    backoff = min(max(Self.backoffMilliseconds.lowerBound, backoff * 2), Self.backoffMilliseconds.upperBound)
    context.loop.after(milliseconds: backoff) { [weak self] in
      guard let self, isStalled, ledger.inFlight == 0 else { return }
      isStalled = false
      ledger.rewind()
      pump()
    }
  }
}

@available(*, unavailable)
extension InLane: Sendable {}
