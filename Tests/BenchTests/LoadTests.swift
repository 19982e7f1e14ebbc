import ClientCore
import LoopCore
import Settings
import Testing

@testable import Bench

@Suite("Loads over real sockets: generator and send loop share one event loop", .serialized)
struct LoadTests {
  private func settings(_ scenario: Scenario, _ server: RawServer, _ arguments: [String]) throws -> BenchSettings {
    var all = ["--url", "ws://127.0.0.1:\(server.port)/", "--dialect", "plain", "--seconds", "1"]
    all += scenario == .fanout || scenario == .echo ? ["--warm-up", "10ms"] : []
    guard
      case .run(var settings, _) = try BenchSettings.table(scenario).parse(
        arguments: all + arguments, environment: [:], defaults: BenchSettings())
    else { throw SettingsError(message: "no run") }
    try settings.resolve(scenario)
    return settings
  }

  @Test(
    "a fan-out reaches every member once and in order",
    arguments: [["--window", "1"], ["--window", "7"], ["--rate", "200"], ["--window", "2", "--size", "70000"]],
    [true, false])
  func fanout(pace: [String], isRingAllowed: Bool) throws {
    let loop = try EventLoop()
    let server = try RawServer(loop, port: 0)
    let settings = try settings(.fanout, server, ["--connections", "20"] + pace)
    let load = RoomsLoad(settings, loop: loop)
    var generator: Generator?
    let failure = Bench.drive(load, loop, settings, isRingAllowed: isRingAllowed) {
      load.generator = $0
      generator = $0
    }
    #expect(failure == nil)
    #expect((generator?.receiveRing != nil) == (isRingAllowed && (try? ReceiveRing()) != nil))
    #expect(load.check.isClean)
    #expect(load.measurement.operations >= 20)
    #expect(load.measurement.latency.count > 0)
  }

  @Test("handshakes are counted, and every connection is closed again")
  func connect() throws {
    let loop = try EventLoop()
    let server = try RawServer(loop, port: 0)
    let settings = try settings(.connect, server, ["--connections", "4"])
    let load = ConnectLoad(settings, loop: loop)
    let failure = Bench.drive(load, loop, settings) { load.generator = $0 }
    #expect(failure == nil)
    #expect(load.measurement.operations > 4)
  }

  @Test(
    "connections opened again under old numbers hear nothing that was meant for those before", arguments: [true, false])
  func reopened(isRingAllowed: Bool) throws {
    let loop = try EventLoop()
    let server = try RawServer(loop, port: 0)
    let settings = try settings(.fanout, server, ["--connections", "8"])
    let load = ReopeningLoad(settings, loop: loop)
    let failure = Bench.drive(load, loop, settings, isRingAllowed: isRingAllowed) { load.generator = $0 }
    #expect(failure == nil, "\(failure?.message ?? "")")
    #expect(load.reopened == ReopeningLoad.reopenedMax)
    #expect(load.heard > 0)
    #expect(load.strange == 0)
  }

  @Test("a server that closes a connection ends the run with the reason", arguments: [true, false])
  func closedByServer(isRingAllowed: Bool) throws {
    let loop = try EventLoop()
    let server = try RawServer(loop, port: 0)
    let settings = try settings(.fanout, server, ["--connections", "8"])
    let load = ReopeningLoad(settings, loop: loop)
    // A frame that no client may send: the server answers it with the end.
    load.farewell = [0xFF, 0xFF]
    let failure = Bench.drive(load, loop, settings, isRingAllowed: isRingAllowed) { load.generator = $0 }
    #expect(failure?.message.contains("closed the connection") == true || failure?.message.contains("reset") == true)
  }

  @Test("a server that is not there ends the run with the reason")
  func unreachable() throws {
    let loop = try EventLoop()
    let port = try RawServer(loop, port: 0).port
    var settings = BenchSettings()
    // Nothing listens on port 1 of loopback, whatever took the other one meanwhile.
    settings.url = "ws://127.0.0.1:\(port == 1 ? 2 : 1)/"
    try settings.resolve(.fanout)
    let load = RoomsLoad(settings, loop: loop)
    let failure = Bench.drive(load, loop, settings) { load.generator = $0 }
    #expect(failure?.message.contains("cannot reach ws://127.0.0.1:") == true)
    #expect(failure?.status == ExitStatus.unavailable)
  }
}

/// Clients of one room that publish what names their connection, and are closed and opened again in the middle of it.
///
/// What anybody has heard is sent to all who were there, and to nobody who comes later.
private final class ReopeningLoad: Load {
  static let reopenedMax = 40

  private let settings: BenchSettings
  private let loop: EventLoop
  unowned var generator: Generator!  // The loop keeps it.
  /// Raw bytes the first client sends when all are ready; empty for none.
  var farewell: [UInt8] = []
  private(set) var reopened = 0
  private(set) var heard = 0
  private(set) var strange = 0
  /// What had been heard, by anybody, when each client was opened.
  private var heardBefore: [Set<UInt32>]
  private var numbers: Set<UInt32> = []
  private var sent: UInt32 = 0
  private var stamps = StampReader()
  private var writer = StampWriter(head: "{", messageBytes: 3000)
  private var isRunning = false

  init(_ settings: BenchSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
    heardBefore = Array(repeating: [], count: settings.connections)
  }

  var clientCount: Int { settings.connections }
  func destination(of client: Int) -> (url: Destination, target: String) {
    (settings.memberURL, settings.memberURL.target)
  }

  func opened(_ client: Int) {
    heardBefore[client] = numbers
    generator.send(text: "room", on: client)
    if !isRunning { return generator.ready(client: client) }
  }

  func begin() {
    isRunning = true
    generator.moveTogether()
    guard farewell.isEmpty else {
      generator.clients[0].outgoing += farewell
      return generator.send(text: "", on: 0)
    }
    publish()
  }

  /// Every client publishes, and one of them goes right behind its message.
  private func publish() {
    for client in 0..<clientCount where generator.clients[client].stage == .open {
      sent += 1
      writer.write(Stamp(sequence: sent, time: 1)) { generator.send(.text, $0, on: client) }
    }
    generator.close(reopened % clientCount)
    loop.after(milliseconds: 5) { [weak self] in
      guard let self else { return }
      if self.reopened < ReopeningLoad.reopenedMax { self.publish() } else { self.loop.stop() }
    }
  }

  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64) {
    heard += 1
    guard let stamp = stamps.read(message), !heardBefore[client].contains(stamp.sequence) else { return strange += 1 }
    numbers.insert(stamp.sequence)
  }

  func closed(_ client: Int) {
    reopened += 1
    generator.open(client)
  }

  func tickEnded() {}
}

@Suite("Messages in flight, without sockets")
struct RoomsLoadTests {
  /// A load whose members are ready and probed; what it publishes piles up in the publisher's buffer.
  private func running(window: Int, members: Int) throws -> (load: RoomsLoad, generator: Generator, loop: EventLoop) {
    let loop = try EventLoop()
    var settings = BenchSettings()
    settings.dialect = .nchan
    settings.url = "ws://127.0.0.1:1/"
    settings.window = window
    settings.connectionsAsked = members
    try settings.resolve(.fanout)
    let load = RoomsLoad(settings, loop: loop)
    let generator = Generator(loop, load)
    load.generator = generator
    load.begin()
    for member in 0..<members { hear(load, 0, member) }
    load.tickEnded()
    return (load, generator, loop)
  }

  private func hear(_ load: RoomsLoad, _ sequence: UInt32, _ member: Int) {
    load.received(member, Array("{\"seq\":\(sequence),\"t\":1}".utf8).span, at: 2)
  }

  /// Counts frames of 128 bytes and their 8 bytes of masked header (RFC 6455 section 5.2), the probe not counted.
  private func published(_ generator: Generator, members: Int) -> Int {
    generator.clients[members].outgoing.count / (128 + 8) - 1
  }

  @Test("the next message waits for the slowest member")
  func slowest() throws {
    let (load, generator, loop) = try running(window: 2, members: 3)
    #expect(published(generator, members: 3) == 2)
    hear(load, 1, 0)
    hear(load, 2, 0)
    hear(load, 1, 1)
    load.tickEnded()
    #expect(published(generator, members: 3) == 2)
    hear(load, 1, 2)
    load.tickEnded()
    #expect(published(generator, members: 3) == 3)
    #expect(load.check.isClean)
    withExtendedLifetime(loop) {}
  }

  @Test("a message that a member never heard is lost, one that it heard twice a duplicate")
  func faults() throws {
    let (load, generator, loop) = try running(window: 4, members: 1)
    for sequence: UInt32 in [1, 3, 3, 4] { hear(load, sequence, 0) }
    #expect(load.check.lost == 1)
    #expect(load.check.duplicates == 1)
    #expect(load.check.reordered == 0)
    withExtendedLifetime((generator, loop)) {}
  }
}
