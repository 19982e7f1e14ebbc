import BridgeCore
import ClientProtocol
import LoopCore
import Realtime
import RedisBackend
import Settings

/// Writes the messages of matching rooms to one target. What is published comes by the rooms' channels where one pattern
/// covers them; history is the truth, and every room is looked at again from time to time. Confined to the loop.
final class OutPump {
  /// Messages on their way of all rooms, and their bytes: what is beyond it stays in history.
  private static let inFlightMax = 10_000
  private static let bytesMax = 32 << 20
  /// Messages that one reading of history brings at the most.
  private static let pageMax = 128
  /// How often confirmed positions are written to Redis.
  private static let confirmMilliseconds = 100
  /// The time before a room is tried again.
  private static let retryMilliseconds = 250

  private struct Entry {
    var room: OutRoom
    let shard: Int
    /// Tells it from an entry of the same room that was given up with messages on their way.
    let generation: Int
    /// Whether a retry waits for its time.
    var isRetrying = false
  }

  private let loop: EventLoop
  private let bridge: BridgeSettings
  private let output: BridgeOutput
  private let broker: RedisBroker
  private let sink: any BridgeSink
  private let counters: BridgeCounters
  private let log: OnceLog
  private let subscriptions: RoomSubscriptions
  /// Whether a shard may be written now.
  private let mayWrite: (_ shard: Int) -> Bool
  private var rooms: [[UInt8]: Entry] = [:]
  /// Rooms whose position is being asked for, and the shard of each.
  private var loading: Set<[UInt8]> = []
  /// Rooms that wait until less is on its way.
  private var waiting: Set<[UInt8]> = []
  /// Rooms whose position is to be written to Redis.
  private var unconfirmed: Set<[UInt8]> = []
  private var generations = 0
  private var inFlight = 0
  private var inFlightBytes = 0
  private var isScanning = false
  private var mustScanAgain = false
  private var isStopping = false
  private let glob: RoomGlob

  init(
    _ loop: EventLoop, _ bridge: BridgeSettings, _ output: BridgeOutput, _ broker: RedisBroker, _ sink: any BridgeSink,
    _ counters: BridgeCounters, _ log: OnceLog, _ subscriptions: RoomSubscriptions,
    mayWrite: @escaping (_ shard: Int) -> Bool
  ) {
    self.loop = loop
    self.bridge = bridge
    self.output = output
    self.broker = broker
    self.sink = sink
    self.counters = counters
    self.log = log
    self.subscriptions = subscriptions
    self.mayWrite = mayWrite
    glob = RoomGlob(Array(output.match.utf8))
    confirmLater()
  }

  /// What the names of all matching rooms begin with.
  var prefix: [UInt8] { Array(output.match.utf8.prefix { $0 != UInt8(ascii: "*") }) }

  var lag: Int { rooms.values.reduce(0) { $0 + Int(clamping: $1.room.lag) } }

  /// Whether nothing of a shard is on its way, and Redis knows how far it was written.
  func isQuiet(_ shard: Int) -> Bool {
    !rooms.contains { $1.shard == shard && ($1.room.inFlight > 0 || unconfirmed.contains($0)) }
  }

  var isQuiet: Bool { inFlight == 0 && unconfirmed.isEmpty }

  private var hasSpace: Bool {
    inFlight < Self.inFlightMax && inFlightBytes < Self.bytesMax && sink.isReady && !isStopping
  }

  func beginStop() { isStopping = true }

  // MARK: Rooms

  /// Notes a message that came by a channel.
  func received(_ room: [UInt8], at position: Position, envelope: Span<UInt8>) {
    guard !isStopping, glob.matches(room.span) else { return }
    let shard = ShardLeases.shard(of: room)
    guard mayWrite(shard) else { return }
    guard rooms[room] != nil else { return load(room, shard) }
    switch rooms[room]?.room.notice(position, maySend: hasSpace) {
    case .send: send([UInt8](copying: envelope), of: room, at: position)
    case .read: read(room)
    case .wait, nil: if !hasSpace { wait(room) }
    }
  }

  /// Notes that a room exists and may hold what was not written.
  private func consider(_ room: [UInt8]) {
    let shard = ShardLeases.shard(of: room)
    guard glob.matches(room.span), mayWrite(shard) else { return }
    guard rooms[room] != nil else { return load(room, shard) }
    rooms[room]?.room.markDirty()
    work(on: room)
  }

  private func load(_ room: [UInt8], _ shard: Int) {
    guard loading.insert(room).inserted else { return }
    broker.bridges.position(of: room, bridge: bridge.name, target: output.target) { [weak self] result in
      guard let self else { return }
      loading.remove(room)
      guard mayWrite(shard), rooms[room] == nil else { return }
      guard case .success(let position) = result else {
        // The scan after the outage finds it again.
        mustScanAgain = true
        return
      }
      generations += 1
      rooms[room] = Entry(room: OutRoom(confirmed: position), shard: shard, generation: generations)
      subscriptions.enter(room)
      work(on: room)
    }
  }

  /// Reads on where there is something to read and space for it.
  private func work(on room: [UInt8]) {
    guard let entry = rooms[room] else { return }
    if entry.room.wantsRead(maySend: hasSpace) {
      read(room)
    } else if entry.room.isDirty, !hasSpace {
      wait(room)
    }
  }

  private func wait(_ room: [UInt8]) { waiting.insert(room) }

  private func read(_ room: [UInt8]) {
    guard let entry = rooms[room], mayWrite(entry.shard) else { return }
    rooms[room]?.room.beginRead()
    broker.history(room: room, .after(entry.room.readsAfter, limit: Self.pageMax)) { [weak self] result in
      guard let self, rooms[room] != nil else { return }
      guard case .success(let page) = result else {
        rooms[room]?.room.failRead()
        return retryLater(room)
      }
      take(page, of: room)
    }
  }

  private func take(_ page: HistoryPage, of room: [UInt8]) {
    guard var entry = rooms[room] else { return }
    guard mayWrite(entry.shard) else { return forget(room) }
    let progress = entry.room.take(page, limit: hasSpace ? Self.pageMax : 0)
    if progress.lost > 0 {
      counters.add(.outLost, progress.lost)
      log.warn(
        "\(progress.lost) messages of the room \(String(decoding: room, as: UTF8.self)) were not in its history any more "
          + "and were not written to \(output.target)")
    }
    if progress.isMoved { unconfirmed.insert(room) }
    rooms[room] = entry
    for (offset, envelope) in progress.entries { send(envelope, of: room, at: page.position.at(offset)) }
    if progress.readsAgain { read(room) } else { work(on: room) }
  }

  private func retryLater(_ room: [UInt8]) {
    guard rooms[room]?.isRetrying == false else { return }
    rooms[room]?.isRetrying = true
    loop.after(milliseconds: Self.retryMilliseconds) { [weak self] in
      guard let self, rooms[room] != nil else { return }
      rooms[room]?.isRetrying = false
      if sink.isReady { rooms[room]?.room.resume() }
      work(on: room)
    }
  }

  // MARK: Sending

  private func send(_ envelope: [UInt8], of room: [UInt8], at position: Position) {
    guard let record = OutboundRecord(room: room, at: position, envelope: envelope, output) else {
      return answered(.refused("no message of this version"), room, position, rooms[room]?.generation ?? 0)
    }
    let size = record.byteCount
    let generation = rooms[room]?.generation ?? 0
    inFlight += 1
    inFlightBytes += size
    sink.send(record) { [weak self] result in
      guard let self else { return }
      inFlight -= 1
      inFlightBytes -= size
      answered(result, room, position, generation)
    }
  }

  private func answered(_ result: SinkResult, _ room: [UInt8], _ position: Position, _ generation: Int) {
    defer { serveWaiting() }
    guard var entry = rooms[room], entry.generation == generation else { return }
    switch result {
    case .written:
      counters.add(.outWritten)
      if entry.room.deliver(position.offset) { unconfirmed.insert(room) }
    case .refused(let reason):
      counters.add(.outRefused)
      log.warn("\(output.target) refuses a message of \(String(decoding: room, as: UTF8.self)): \(reason)")
      if entry.room.deliver(position.offset) { unconfirmed.insert(room) }
    case .failed:
      counters.add(.outRetried)
      entry.room.fail()
    }
    rooms[room] = entry
    if entry.room.isStalled {
      if entry.room.inFlight == 0 { retryLater(room) }
    } else {
      work(on: room)
    }
  }

  private func serveWaiting() {
    guard !waiting.isEmpty, inFlight <= Self.inFlightMax / 2, inFlightBytes <= Self.bytesMax / 2, sink.isReady else {
      return
    }
    let rest = waiting
    waiting = []
    for room in rest { work(on: room) }
  }

  /// The sink takes records again, or no more.
  func sinkChanged() {
    guard sink.isReady else { return }
    for (room, entry) in rooms where entry.room.isStalled && entry.room.inFlight == 0 {
      rooms[room]?.room.resume()
      work(on: room)
    }
    serveWaiting()
  }

  // MARK: Positions

  private func confirmLater() {
    loop.after(milliseconds: Self.confirmMilliseconds) { [weak self] in
      guard let self else { return }
      confirm()
      confirmLater()
    }
  }

  private func confirm() {
    let due = unconfirmed
    unconfirmed = []
    for room in due {
      guard let position = rooms[room]?.room.position else { continue }
      broker.bridges.confirm(position, of: room, bridge: bridge.name, target: output.target) { [weak self] isWritten in
        if !isWritten, self?.rooms[room] != nil { self?.unconfirmed.insert(room) }
      }
    }
  }

  // MARK: Shards

  /// Forgets the rooms of shards that another process has now, or may have.
  func lose(_ shards: Set<Int>) {
    for (room, entry) in rooms where shards.contains(entry.shard) { forget(room) }
  }

  private func forget(_ room: [UInt8]) {
    guard rooms.removeValue(forKey: room) != nil else { return }
    unconfirmed.remove(room)
    subscriptions.leave(room)
  }

  /// Forgets rooms in which nothing happens: what is known of them is in Redis.
  func forgetIdle() {
    for (room, entry) in rooms where entry.room.isIdle && !unconfirmed.contains(room) { forget(room) }
  }

  /// Looks at every matching room: after a shard came, after an outage, and from time to time.
  func scan() {
    guard !isScanning else {
      mustScanAgain = true
      return
    }
    (isScanning, mustScanAgain) = (true, false)
    broker.bridges.scanRooms(matching: output.match) { [weak self] names in
      for name in names { self?.consider(name) }
    } _: { [weak self] isComplete in
      guard let self else { return }
      isScanning = false
      guard mustScanAgain || !isComplete, !isStopping else { return }
      loop.after(milliseconds: Self.retryMilliseconds) { [weak self] in self?.scan() }
    }
  }
}

@available(*, unavailable)
extension OutPump: Sendable {}
