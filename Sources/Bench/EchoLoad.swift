import LoopCore

/// Sends messages to a server that echoes, and counts the round trips.
///
/// By window, every connection sends its next message when one came back. By rate, the connections take turns.
final class EchoLoad: Load {
  private static let stallNanoseconds: UInt64 = 2_000_000_000

  private let settings: BenchSettings
  private let loop: EventLoop
  unowned var generator: Generator! {  // Set once, before the first client opens; it outlives every call.
    didSet { clients = generator.clients }
  }
  /// The generator's. Apart, for to go through the generator would count references at every delivery.
  private var clients: UnsafeMutablePointer<Client>!  // Safe because it is set with the generator.
  private var published: [UInt32]
  private var writer: StampWriter
  private var stamps = StampReader()
  private var schedule: SendSchedule?
  private var nextClient = 0
  private var inFlight = 0
  private var isSending = false
  private var isDone = false
  private var lastEcho: UInt64 = 0
  private(set) var check = SequenceCheck()
  private(set) var measurement = Measurement()

  init(_ settings: BenchSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
    published = [UInt32](repeating: 0, count: settings.connections)
    writer = StampWriter(head: "{", messageBytes: settings.messageBytes)
  }

  var clientCount: Int { settings.connections }

  func destination(of client: Int) -> (url: Destination, target: String) {
    (settings.memberURL, settings.memberURL.target)
  }

  func opened(_ client: Int) {
    clients[client].expected = 1
    generator.ready(client: client)
  }

  func begin() {
    isSending = true
    generator.moveTogether()
    lastEcho = Clock.monotonicNanoseconds()
    if settings.rate > 0 {
      do {
        schedule = try SendSchedule(loop, rate: settings.rate)
      } catch {
        return generator.fail("\(error)")
      }
    } else {
      for client in 0..<clientCount {
        for _ in 0..<settings.window { publish(client, at: Clock.monotonicNanoseconds()) }
      }
    }
    watchForStalls()
    loop.after(milliseconds: settings.warmUpMilliseconds) { [weak self] in self?.startMeasuring() }
  }

  private func startMeasuring() {
    measurement.start(settings)
    loop.after(milliseconds: settings.seconds * 1000) { [weak self] in
      guard let self else { return }
      self.measurement.end(self.settings)
      self.isSending = false
    }
  }

  private func publish(_ client: Int, at time: UInt64) {
    published[client] += 1
    inFlight += 1
    writer.write(Stamp(sequence: published[client], time: time)) { generator.send(.text, $0, on: client) }
  }

  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64) {
    guard let stamp = stamps.read(message) else { return generator.fail("the server sent what is no echo") }
    if stamp.sequence == clients[client].expected {
      clients[client].expected += 1
    } else {
      check.take(stamp.sequence, expected: &clients[client].expected, member: client)
    }
    measurement.count(begunAt: stamp.time, endedAt: now)
    lastEcho = now
    inFlight -= 1
    if isSending, schedule == nil { publish(client, at: now) }
  }

  func tickEnded() {
    if let schedule, isSending {
      let now = Clock.monotonicNanoseconds()
      while let due = schedule.takeDue(at: now) {
        publish(nextClient, at: due)
        nextClient = (nextClient + 1) % clientCount
      }
    }
    if !isSending, measurement.endedAt != nil, inFlight == 0 { finish() }
  }

  private func watchForStalls() {
    loop.after(milliseconds: 500) { [weak self] in
      guard let self, !self.isDone else { return }
      if Clock.monotonicNanoseconds() > self.lastEcho + EchoLoad.stallNanoseconds { return self.finish() }
      self.watchForStalls()
    }
  }

  private func finish() {
    guard !isDone else { return }
    isDone = true
    measurement.end(settings)
    for client in 0..<clientCount {
      check.end(published: published[client], expected: clients[client].expected)
    }
    loop.stop()
  }

  func closed(_ client: Int) {}
}
