import LoopCore
import Realtime
import RedisBackend
import Settings
import TimeCore
import Webhooks

extension NodeSetup {
  /// The events of rooms that a broker of the cluster records; nil: none.
  static func roomEventPolicy(_ settings: WebhookSettings) -> RoomEventPolicy? {
    let kinds = roomEventKinds(settings)
    guard !kinds.isEmpty else { return nil }
    return RoomEventPolicy(
      kinds: kinds, countMax: settings.queueMax, ageMillisecondsMax: settings.queueMilliseconds)
  }

  private static func roomEventKinds(_ settings: WebhookSettings) -> Set<RoomEventKind> {
    Set(settings.events.compactMap(roomEventKind))
  }

  /// What a broker records for an event; nil: it is one of a node.
  private static func roomEventKind(_ event: WebhookEventName) -> RoomEventKind? {
    switch event {
    case .roomCreated: .roomCreated
    case .roomEmptied: .roomEmptied
    case .userJoined: .userJoined
    case .userLeft: .userLeft
    case .connected, .disconnected, .message, .request: nil
    }
  }

  /// Makes what posts the events of a node, unless there is no webhook.
  static func makeWebhooks(
    _ settings: ServerSettings, _ loop: EventLoop, _ id: [UInt8], _ redis: RedisBroker?, _ tracer: Tracer?, _ log: Log
  ) -> WebhookEvents? {
    guard let client = makeWebhookClient(settings.webhooks, loop, tracer) else { return nil }
    var configuration = WebhookEventsConfiguration(node: id)
    let wanted = settings.webhooks.events
    configuration.sendsConnected = wanted.contains(.connected)
    configuration.sendsDisconnected = wanted.contains(.disconnected)
    configuration.sendsMessages = wanted.contains(.message)
    configuration.roomEvents = roomEventKinds(settings.webhooks)
    configuration.batchMax = settings.webhooks.batchMax
    configuration.countMax = settings.webhooks.queueMax
    configuration.ageMillisecondsMax = settings.webhooks.queueMilliseconds
    return WebhookEvents(loop, client: client, source: redis?.roomEvents, configuration) {
      if $0 { log.warn($1) } else { log.info($1) }
    }
  }

  /// Makes a client of the webhook; nil: there is none.
  static func makeWebhookClient(
    _ settings: WebhookSettings, _ loop: EventLoop, _ tracer: Tracer?
  ) -> WebhookClient? {
    guard let url = settings.url, !settings.secrets.isEmpty else { return nil }
    return WebhookClient(
      loop, url: url, secrets: settings.secrets.map { Array($0.utf8) },
      timeout: .milliseconds(settings.timeoutMilliseconds), agent: "Roost/\(Node.version)",
      tracer: tracer)
  }
}

extension WebhookEvents {
  /// Takes the events of a hub, and those of rooms from a broker without a queue.
  func observe(_ hub: Hub, _ broker: EmbeddedBroker?) {
    if !kinds.isEmpty { hub.observers.add(kinds) { [weak self] in self?.observe($0) } }
    if wantsRoomEvents { broker?.roomEvents = { [weak self] in self?.record($0) } }
  }
}

extension Node {
  /// Leaves what waits in Redis to other nodes.
  func releaseWebhooks(_ done: @escaping () -> Void) {
    guard let webhooks else { return done() }
    webhooks.release(done)
  }

  /// Delivers what the node has seen until its end, as far as the receiver takes it.
  func stopWebhooks(_ done: @escaping () -> Void) {
    guard let webhooks else { return done() }
    webhooks.stop(within: .milliseconds(settings.webhooks.timeoutMilliseconds), done)
  }

  /// What the webhook has taken, and what waits for it.
  func setWebhookCounts(_ set: (Count, UInt64) -> Void) {
    guard let counters = webhooks?.counters else { return }
    set(.webhookDelivered, counters.delivered)
    set(.webhookFailed, counters.failed)
    set(.webhookDropped, counters.dropped)
    set(.webhookWaiting, UInt64(counters.waiting))
    set(.webhookLagSeconds, UInt64(counters.ageMilliseconds / 1000))
  }
}
