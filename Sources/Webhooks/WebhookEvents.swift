import LoopCore
import Realtime
import TimeCore

/// What a node sends to its webhook, and how.
public struct WebhookEventsConfiguration: Sendable {
  /// The id of the node.
  public var node: [UInt8]
  /// Whether `connected`, `disconnected` and `message` are sent.
  public var sendsConnected = false
  public var sendsDisconnected = false
  public var sendsMessages = false
  /// The events of rooms that are sent where the broker has no queue for them.
  public var roomEvents: Set<RoomEventKind> = []
  /// Events in one post.
  public var batchMax = 1
  /// Events that may wait, and milliseconds for which one may.
  public var countMax = 10_000
  public var ageMillisecondsMax = 3_600_000

  public init(node: [UInt8]) { self.node = node }
}

/// The events of a node on their way to its webhook: those that it sees itself wait in its memory, those of rooms in the
/// broker where it has a queue for them. Confined to the loop's thread.
public final class WebhookEvents {
  /// Takes a line for the log; the flag is whether it is a warning.
  public typealias Log = (_ isWarning: Bool, String) -> Void

  private let loop: EventLoop
  private let client: WebhookClient
  private let configuration: WebhookEventsConfiguration
  private let queue: MemoryEventQueue
  private let own: WebhookDeliverer
  /// The deliverer of the cluster's events; nil: there is no such queue.
  private let shared: WebhookDeliverer?
  private let log: Log
  /// Begins the ids of this process' events.
  private let idPrefix: [UInt8]
  private var eventCount: UInt64 = 0
  private var failingCount = 0
  private var reportedDrops: UInt64 = 0
  private var mayReportDropsAt = Instant.zero
  private var isStopped = false

  /// - Parameter source: the cluster's queue of the events of rooms; nil: they come through `record`.
  public init(
    _ loop: EventLoop, client: WebhookClient, source: (any RoomEventSource)?,
    _ configuration: WebhookEventsConfiguration, log: @escaping Log
  ) {
    (self.loop, self.client, self.configuration, self.log) = (loop, client, configuration, log)
    queue = MemoryEventQueue(
      countMax: configuration.countMax, bytesMax: WebhookLimits.queueBytesMax,
      ageMax: .milliseconds(configuration.ageMillisecondsMax)
    ) { Clock.instant() }
    own = WebhookDeliverer(loop, client: client, source: queue, batchMax: configuration.batchMax)
    shared = source.map { WebhookDeliverer(loop, client: client, source: $0, batchMax: configuration.batchMax) }
    idPrefix = configuration.node + Array("-\(String(Clock.wallMilliseconds(), radix: 16))-".utf8)
    queue.appended = { [weak own] in own?.wake() }
    for deliverer in [own, shared] { deliverer?.stateChanged = { [weak self] in self?.receiverChanged($0) } }
  }

  /// Which events of the hub are to be given to `observe`.
  public var kinds: HubEvent.Kinds {
    var kinds: HubEvent.Kinds = []
    if configuration.sendsConnected || configuration.sendsDisconnected { kinds.insert(.sessions) }
    if configuration.sendsMessages { kinds.insert(.messages) }
    return kinds
  }

  /// Begins to deliver.
  public func start() {
    own.start()
    shared?.start()
  }

  /// What was delivered, and what waits, of all queues.
  public var counters: DeliveryCounters {
    var sum = own.counters
    (sum.waiting, sum.ageMilliseconds) = (queue.count, queue.ageMilliseconds)
    sum.dropped += UInt64(queue.dropped)
    guard let shared else { return sum }
    sum.delivered += shared.counters.delivered
    sum.failed += shared.counters.failed
    sum.dropped += shared.counters.dropped
    sum.posts.add(shared.counters.posts)
    sum.waiting += shared.counters.waiting
    sum.ageMilliseconds = max(sum.ageMilliseconds, shared.counters.ageMilliseconds)
    return sum
  }

  // MARK: What happens

  /// Sends an event of the hub, if it is one that is wanted.
  public func observe(_ event: HubEvent) {
    let now = Clock.wallMilliseconds()
    switch event {
    case .identified(let connection, let user, let transport, let address) where configuration.sendsConnected:
      queue.append(
        EventText.session(
          "connected", id: nextID(), at: now, connection: connection, user: user, transport, address: address,
          node: configuration.node))
    case .disconnected(let connection, let user?, let transport, let address) where configuration.sendsDisconnected:
      queue.append(
        EventText.session(
          "disconnected", id: nextID(), at: now, connection: connection, user: user, transport, address: address,
          node: configuration.node))
    case .published(let room, let position, let envelope) where configuration.sendsMessages:
      if let text = EventText.message(room: room, position, envelope: envelope) { queue.append(text) }
    default: break
    }
  }

  /// Whether events are to be given to `record`.
  public var wantsRoomEvents: Bool { shared == nil && !configuration.roomEvents.isEmpty }

  /// Sends an event of a room, of a broker without a queue of its own, if it is one that is wanted.
  public func record(_ event: RoomEvent) {
    guard configuration.roomEvents.contains(event.kind) else { return }
    queue.append(EventText.room(event, id: nextID(), at: Clock.wallMilliseconds()))
  }

  private func nextID() -> [UInt8] {
    eventCount += 1
    return idPrefix + Array(String(eventCount).utf8)
  }

  // MARK: The log

  private func receiverChanged(_ problem: String?) {
    let before = failingCount
    failingCount += problem == nil ? -1 : 1
    if let problem, before == 0 {
      log(true, "the webhook's receiver fails; its events wait and are posted again: \(problem)")
    } else if problem == nil, failingCount == 0 {
      log(false, "the webhook's receiver is back")
    }
  }

  /// Logs what was dropped, once a minute at most. Called about once a second.
  public func reportDrops() {
    let dropped = counters.dropped
    guard dropped > reportedDrops, loop.instant >= mayReportDropsAt else { return }
    log(true, "dropped \(dropped - reportedDrops) events for the webhook: too many waited, or for too long")
    reportedDrops = dropped
    mayReportDropsAt = loop.instant + .seconds(60)
  }

  // MARK: The end

  /// Leaves the events of the cluster to other nodes, after the post that is under way. While the broker is still there.
  public func release(_ done: @escaping () -> Void) {
    guard let shared else { return done() }
    shared.stop(done)
  }

  /// Delivers what the node still has, as long as the receiver takes it, then ends all requests.
  public func stop(within time: Interval, _ done: @escaping () -> Void) {
    guard !isStopped else { return done() }
    isStopped = true
    finish(until: loop.instant + time, done)
  }

  private func finish(until deadline: Instant, _ done: @escaping () -> Void) {
    guard !own.isIdle, failingCount == 0, loop.instant < deadline else {
      own.stop()
      client.close()
      return done()
    }
    loop.after(.milliseconds(20)) { [weak self] in
      if let self { finish(until: deadline, done) } else { done() }
    }
  }
}

@available(*, unavailable)
extension WebhookEvents: Sendable {}
