import LoopCore

/// Finds the master by sentinels: asks them, and subscribes to all of them for failovers.
///
/// A master that was replaced while it was unreachable takes commands when it is back, until a sentinel demotes it. So the node
/// subscribes to every sentinel: the one that ordered the failover announces it at once, the others seconds later. Confined to
/// the loop that created it.
final class SentinelDiscovery {
  /// Called with a master that the sentinels have just made.
  var switched: (RedisEndpoint) -> Void = { _ in }

  private let loop: EventLoop
  private let query: DiscoveryQuery<RedisEndpoint>
  private let sentinels: [RedisEndpoint]
  private let master: String
  /// A subscribed connection to each sentinel.
  private let subscribers: [RedisLink]
  /// The master that was announced last, and until when that counts more than a sentinel that may not know of it yet. In
  /// nanoseconds.
  private var announced: (endpoint: RedisEndpoint, until: UInt64)?

  init(
    loop: EventLoop, resolver: Resolver, configuration: RedisConfiguration, tls: TLSClientContext?,
    sentinels: [RedisEndpoint], master: String, name: String
  ) {
    self.loop = loop
    self.sentinels = sentinels
    self.master = master
    query = DiscoveryQuery(
      loop: loop, resolver: resolver, configuration: configuration, tls: tls, name: name + "-finder",
      { writer in
        writer.command(parts: 3)
        writer.bulk("SENTINEL")
        writer.bulk("get-master-addr-by-name")
        writer.bulk(Array(master.utf8))
      }
    ) { reply, _ in
      guard reply.count == 2, let port = UInt16(reply[1].text), port > 0 else { return nil }
      return .tcp(host: reply[0].text, port: port)
    }
    subscribers = sentinels.map { sentinel in
      RedisLink(
        loop: loop, resolver: resolver, configuration: configuration, tls: tls, endpoint: sentinel,
        name: name + "-switch", isDiscovery: true
      ) { _, _ in }
    }
    for subscriber in subscribers {
      subscriber.opened = { [weak subscriber] in subscriber?.send(SentinelDiscovery.subscribe) }
      subscriber.received = { [weak self, weak subscriber] reply in
        subscriber?.confirm()
        if reply.count == 3, reply[0].begins(with: "message") { self?.take(announcement: reply[2].text) }
      }
    }
  }

  /// Begins to subscribe.
  func start() { for subscriber in subscribers { subscriber.start() } }

  func stop() {
    query.stop()
    for subscriber in subscribers { subscriber.stop() }
  }

  /// Sends what this tick has gathered.
  func flush() {
    query.flush()
    for subscriber in subscribers { subscriber.flush() }
  }

  /// Checks that the subscriptions to the sentinels are alive.
  func check() { for subscriber in subscribers { subscriber.ping() } }

  /// Finds the master's address as a sentinel knows it now, or as one has announced it meanwhile.
  func find(_ found: @escaping (RedisLink.Located) -> Void) {
    if let endpoint = announcedEndpoint { return found(.success(endpoint)) }
    query.ask(sentinels) { [weak self, master] outcome in
      if let endpoint = self?.announcedEndpoint { return found(.success(endpoint)) }
      found(outcome.mapError { RedisLink.Unlocated(reason: "no sentinel knows the master \(master): \($0.reason)") })
    }
  }

  private var announcedEndpoint: RedisEndpoint? {
    announced.flatMap { loop.now < $0.until ? $0.endpoint : nil }
  }

  private static func subscribe(_ writer: inout CommandWriter) {
    writer.command(parts: 2)
    writer.bulk("SUBSCRIBE")
    writer.bulk("+switch-master")
  }

  /// Takes `MASTER OLD-HOST OLD-PORT NEW-HOST NEW-PORT`, as a sentinel publishes it.
  private func take(announcement text: String) {
    let words = text.split(separator: " ")
    guard words.count == 5, words[0] == master, let port = UInt16(words[4]), port > 0 else { return }
    let endpoint = RedisEndpoint.tcp(host: String(words[3]), port: port)
    announced = (endpoint, loop.now + UInt64(RedisLimits.announcementMilliseconds) * 1_000_000)
    switched(endpoint)
  }
}
