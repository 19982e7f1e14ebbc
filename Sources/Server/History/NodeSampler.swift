import LoopCore
import Realtime
import TimeCore

/// Takes a sample of a node at the end of each interval, from what is counted anyway: a message costs nothing. Confined to
/// the node's loop.
final class NodeSampler {
  private unowned let node: Node
  /// The last 15 minutes.
  private(set) var history = NodeHistory()
  /// All counts at the last sample; nil: none was taken.
  private var last: [UInt64]?
  private var isStopped = false
  /// Whether Redis was reached when a sample was taken, or there is none to reach.
  private(set) var wasReady = false

  init(_ node: Node) { self.node = node }

  /// Begins: the first sample needs the counts at the beginning of its interval.
  func start() {
    last = read()
    schedule()
  }

  /// Takes no more samples.
  func stop() { isStopped = true }

  /// How much of one processor the node took in the last interval, in percent; nil: not known yet.
  var processorPercent: UInt64? {
    history.newest.map {
      $0.words[HistorySeries.processorTime.rawValue] / (NodeHistory.intervalMilliseconds * 10_000)
    }
  }

  private func schedule() {
    let wait = NodeHistory.wait(at: Clock.wallMilliseconds())
    node.loop.after(milliseconds: Int(wait)) { [weak self] in
      guard let self, !isStopped else { return }
      take()
      schedule()
    }
  }

  private func take() {
    let now = read()
    defer { last = now }
    guard let last else { return }
    var words = now
    for place in words.indices where HistorySeries(rawValue: place)?.isLevel != true {
      // What has gone back is of connections to Redis that were replaced: nothing is known of that interval.
      words[place] = now[place] >= last[place] ? now[place] - last[place] : 0
    }
    history.add(HistorySample(slot: NodeHistory.slot(endingNear: Clock.wallMilliseconds()), words: words))
  }

  /// All counts as they are now, in the order of a sample's words.
  private func read() -> [UInt64] {
    if node.isReady { wasReady = true }
    var words = HistorySeries.allCases.map(value)
    words += node.metrics.delivery.counts
    let redis = node.redis?.roundTrips.counts
    words += redis ?? [UInt64](repeating: 0, count: HistoryHistogram.redis.places.count)
    return words
  }

  private func value(of series: HistorySeries) -> UInt64 {
    let (table, hub, metrics) = (node.table, node.hub, node.metrics)
    let webhook = node.webhooks?.counters
    return switch series {
    case .websocket: UInt64(table.webSocketCount)
    case .sse: UInt64(table.eventStreamCount)
    case .poll: UInt64(table.pollerCount)
    case .socketio: UInt64(table.socketIOCount)
    case .rooms: UInt64(hub.counters.rooms)
    case .received: hub.counters.messagesReceived
    case .delivered: metrics.messagesDelivered
    case .bytesSent: metrics.bytesSent
    case .queueBytes: UInt64(table.queuedBytes)
    case .errors:
      metrics.protocolErrors &+ metrics.requestsRefused &+ hub.counters.authenticationFailures &+ metrics.ghosts
    case .refusals: LimitName.allCases.reduce(0) { $0 &+ node.refusals($1) }
    case .slowConsumers: metrics.slowConsumers
    case .lostMessages: hub.counters.gapLost
    case .redisDown: node.redis.map { $0.isUp ? 0 : 1 } ?? 0
    case .redisCommands: node.redis?.commandsTotal ?? 0
    case .webhookWaiting: UInt64(webhook?.waiting ?? 0)
    case .webhookDelivered: webhook?.delivered ?? 0
    case .webhookFailed: webhook?.failed ?? 0
    case .webhookDropped: webhook?.dropped ?? 0
    case .webhookLag: UInt64(webhook?.ageMilliseconds ?? 0)
    case .processorTime: Clock.threadNanoseconds()
    case .residentBytes: ProcessFacts.residentBytes()
    }
  }
}
