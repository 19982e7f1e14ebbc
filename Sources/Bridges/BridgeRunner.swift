import BridgeCore
import ClientProtocol
import LoopCore
import Realtime
import RedisBackend
import Settings
import TimeCore

/// One bridge: its sources, its targets, and the leases on the shards of its rooms. Confined to the loop.
final class BridgeRunner {
  /// How often every matching room is looked at: what no channel has announced is found by it.
  private static let scanMilliseconds = 30_000
  /// The same in a Redis Cluster, where no pattern announces the first message of a room.
  private static let shardedScanMilliseconds = 3000
  private static let forgetMilliseconds = 600_000
  private static let gaugeMilliseconds = 500

  private let loop: EventLoop
  private let bridge: BridgeSettings
  private let broker: RedisBroker
  private let process: [UInt8]
  private let counters: BridgeCounters
  private let log: OnceLog
  private let sink: any BridgeSink
  private var sources: [any InboundSource] = []
  private var pumps: [OutPump] = []
  private var leases = ShardLeases()
  private var wasTrusted = false
  private var isRenewing = false
  private var isStopping = false

  /// - Parameters:
  ///   - process: names this process in leases.
  ///   - group: Kafka's consumer group where the settings name none.
  init(
    _ loop: EventLoop, _ bridge: BridgeSettings, _ broker: RedisBroker, process: [UInt8], group: String,
    messageBytesMax: Int, _ counters: BridgeCounters, _ log: OnceLog, _ subscriptions: RoomSubscriptions
  ) throws(BridgeFault) {
    (self.loop, self.bridge, self.broker, self.process) = (loop, bridge, broker, process)
    (self.counters, self.log) = (counters, log)
    switch bridge.kind {
    case .kafka: sink = try KafkaProducer(loop, bridge, log)
    case .amqp: sink = try AMQPPublisher(loop, bridge, log)
    }
    let context = LaneContext(
      loop: loop, bridge: bridge, broker: broker, counters: counters, log: log, clock: Clock.wallMilliseconds,
      messageBytesMax: messageBytesMax, sink: sink)
    switch bridge.kind {
    case .kafka where bridge.inputs.isEmpty: break
    case .kafka:
      let source = try KafkaConsumer(loop, bridge, group: bridge.group ?? group, log) { name in
        bridge.inputs.first { $0.source == name }.map { InLane(context, $0) }
      }
      sources = [source]
    case .amqp:
      for input in bridge.inputs {
        sources.append(try AMQPConsumer(loop, bridge, queue: input.source, log) { InLane(context, input) })
      }
    }
    pumps = bridge.outputs.map { output in
      OutPump(loop, bridge, output, broker, sink, counters, log, subscriptions) { [weak self] in
        guard let self else { return false }
        return leases.mayWrite($0, at: loop.instant)
      }
    }
    sink.readyChanged = { [weak self] in
      for pump in self?.pumps ?? [] { pump.sinkChanged() }
    }
  }

  /// What the names of rooms begin with whose messages go out.
  var prefixes: [[UInt8]] { pumps.map(\.prefix) }

  func start() {
    showGauges()
    guard !pumps.isEmpty else { return }
    renew()
    every(broker.isSharded ? Self.shardedScanMilliseconds : Self.scanMilliseconds) { $0.scan() }
    every(Self.forgetMilliseconds) { runner in
      for pump in runner.pumps { pump.forgetIdle() }
    }
    every(ShardLeases.renewMilliseconds / 4) { $0.checkTrust() }
  }

  private func every(_ milliseconds: Int, _ action: @escaping (BridgeRunner) -> Void) {
    loop.after(milliseconds: milliseconds) { [weak self] in
      guard let self, !isStopping else { return }
      action(self)
      every(milliseconds, action)
    }
  }

  private func showGauges() {
    counters.set(.inLag, sources.reduce(0) { $0 + $1.lag })
    counters.set(.outLag, pumps.reduce(0) { $0 + $1.lag })
    counters.set(.isUp, broker.isUp ? 1 : 0)
    loop.after(milliseconds: Self.gaugeMilliseconds) { [weak self] in self?.showGauges() }
  }

  // MARK: Messages

  func received(_ room: [UInt8], at position: Position, envelope: Span<UInt8>) {
    for pump in pumps { pump.received(room, at: position, envelope: envelope) }
  }

  /// Subscriptions were lost for a time, or a room may have been published in unnoticed.
  func scan() {
    guard !isStopping, leases.isTrusted(at: loop.instant) else { return }
    for pump in pumps { pump.scan() }
  }

  // MARK: Leases

  private func renew() {
    guard !isRenewing else { return }
    isRenewing = true
    let asked = Clock.instant()
    let back = leases.leaving.filter { shard in pumps.allSatisfy { $0.isQuiet(shard) } }
    for pump in pumps { pump.lose(back) }
    broker.bridges.renewShares(
      of: bridge.name, process: process, lifeMilliseconds: ShardLeases.lifeMilliseconds, shardCount: ShardLeases.count,
      givingBack: back.sorted()
    ) { [weak self] shares in
      guard let self else { return }
      isRenewing = false
      if let shares, !isStopping { take(shares, asked: asked) }
    }
    loop.after(milliseconds: ShardLeases.renewMilliseconds) { [weak self] in
      guard let self, !isStopping else { return }
      // An answer that is lost with its connection is reported; nothing stays without one.
      renew()
    }
  }

  private func take(_ shares: BridgeStore.Shares, asked: Instant) {
    let (gained, lost) = leases.renew(shares.held, fair: shares.fair, asked: asked)
    for pump in pumps { pump.lose(lost) }
    if !lost.isEmpty { log.info("gave up \(lost.count) of \(ShardLeases.count) shards of rooms") }
    if !gained.isEmpty { log.info("writes \(leases.held.count) of \(ShardLeases.count) shards of rooms") }
    let isNew = !wasTrusted
    wasTrusted = true
    if isNew || !gained.isEmpty { scan() }
  }

  /// Gives everything up when the leases could not be renewed in time: another process may write now.
  private func checkTrust() {
    guard wasTrusted, !leases.isTrusted(at: Clock.instant()) else { return }
    wasTrusted = false
    log.warn("the leases on rooms could not be renewed in time: nothing is written until they are")
    for pump in pumps { pump.lose(leases.held) }
    sink.purge()
  }

  // MARK: End

  private var isQuiet: Bool { sources.allSatisfy(\.isQuiet) && pumps.allSatisfy(\.isQuiet) }

  /// Ends: takes nothing new, and confirms what is on its way within some time.
  func stop(until deadline: Instant, _ done: @escaping () -> Void) {
    if !isStopping {
      isStopping = true
      for source in sources { source.beginStop() }
      for pump in pumps { pump.beginStop() }
    }
    guard isQuiet || Clock.instant() >= deadline else {
      loop.after(milliseconds: 20) { [weak self] in
        guard let self else { return done() }
        stop(until: deadline, done)
      }
      return
    }
    for source in sources { source.stop() }
    sink.stop()
    end(until: deadline + .seconds(1), done)
  }

  /// Waits until the other side has the last confirmations, then gives the leases back.
  private func end(until deadline: Instant, _ done: @escaping () -> Void) {
    guard sources.allSatisfy(\.hasEnded) || Clock.instant() >= deadline else {
      loop.after(milliseconds: 10) { [weak self] in
        guard let self else { return done() }
        end(until: deadline, done)
      }
      return
    }
    guard !pumps.isEmpty else { return done() }
    broker.bridges.renewShares(
      of: bridge.name, process: process, lifeMilliseconds: 0, shardCount: ShardLeases.count, givingBack: []
    ) { _ in done() }
  }
}

@available(*, unavailable)
extension BridgeRunner: Sendable {}
