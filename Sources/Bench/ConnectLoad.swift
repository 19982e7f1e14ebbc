import LoopCore

/// Opens and closes connections: connect, upgrade, the server's first message where it speaks first, close.
final class ConnectLoad: Load {
  private let settings: BenchSettings
  private let loop: EventLoop
  unowned var generator: Generator!  // Set once, before the first client opens; it outlives every call.
  private var isEnding = false
  private var openCount = 0
  /// Which clients have been open once: each is ready with that, and opens again and again from then on.
  private var wasOpen: [Bool]
  private(set) var measurement = Measurement()

  init(_ settings: BenchSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
    wasOpen = Array(repeating: false, count: settings.connections)
  }

  var clientCount: Int { settings.connections }

  func destination(of client: Int) -> (url: Destination, target: String) {
    let url = settings.memberURL
    return (url, settings.dialect.target(url, room: "bench", user: "bench-\(client)"))
  }

  func opened(_ client: Int) {
    if measurement.startedAt == nil, !isEnding { start() }
    openCount += 1
    if !wasOpen[client] {
      wasOpen[client] = true
      generator.ready(client: client)
    }
    if !settings.dialect.hasWelcome { finish(client, at: Clock.monotonicNanoseconds()) }
  }

  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64) {
    if settings.dialect.hasWelcome { finish(client, at: now) }
  }

  private func finish(_ client: Int, at now: UInt64) {
    measurement.count(begunAt: generator.clients[client].startedAt, endedAt: now)
    generator.close(client)
  }

  func closed(_ client: Int) {
    openCount -= 1
    if !isEnding {
      generator.open(client)
    } else if openCount == 0 {
      loop.stop()
    }
  }

  private func start() {
    measurement.start(settings)
    loop.after(milliseconds: settings.seconds * 1000) { [weak self] in
      guard let self else { return }
      self.measurement.end(self.settings)
      self.isEnding = true
      // A handshake that was refused or hangs would keep the run alive.
      self.loop.after(milliseconds: 2000) { [weak self] in self?.loop.stop() }
    }
  }

  func begin() {}
  func tickEnded() {}
}
