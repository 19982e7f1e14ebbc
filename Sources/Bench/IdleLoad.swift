import LoopCore

/// Opens connections that join two rooms and then say nothing, and asks what they cost the server.
///
/// Every connection has a user of its own. Rooms have ten members, so that the announcements of those who enter stay few.
final class IdleLoad: Load {
  private static let membersPerRoom = 10
  /// How often the server's memory is read until it stays the same, in milliseconds, and how often at most.
  private static let readingMilliseconds = 250
  private static let readingsMax = 40

  private let settings: BenchSettings
  private let loop: EventLoop
  unowned var generator: Generator!  // Set once, before the first client opens; it outlives every call.
  private var closedCount = 0
  private(set) var memory = MemoryFigures()
  private(set) var openingSeconds = 0.0
  private let startedAt: UInt64

  init(_ settings: BenchSettings, loop: EventLoop) {
    self.settings = settings
    self.loop = loop
    startedAt = Clock.monotonicNanoseconds()
    memory.before = residentBytes()
  }

  var clientCount: Int { settings.connections }

  func destination(of client: Int) -> (url: Destination, target: String) {
    let url = settings.memberURL
    return (url, settings.dialect.target(url, room: rooms(of: client)[0], user: "idle-\(client)"))
  }

  private func rooms(of client: Int) -> [String] {
    let roomCount = max(1, clientCount / IdleLoad.membersPerRoom)
    // Of Socket.IO the namespace's own room is the other one.
    if settings.dialect == .socketio { return ["far-\(client % roomCount)"] }
    return ["near-\(client / IdleLoad.membersPerRoom)", "far-\(client % roomCount)"]
  }

  private func residentBytes() -> Int? {
    settings.processes.isEmpty
      ? MetricsPage.residentBytes(settings.memberURL.url) : ResidentMemory.bytes(of: settings.processes)
  }

  func opened(_ client: Int) {
    // A dialect other than roost's knows one room for each connection, and confirms nothing.
    generator.clients[client].awaited = settings.dialect.hasWelcome ? UInt32(1 + rooms(of: client).count) : 0
    guard !settings.dialect.hasWelcome else { return }
    if let join = settings.dialect.join(room: rooms(of: client)[0]) { generator.send(text: join, on: client) }
    generator.ready(client: client)
  }

  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64) {
    if settings.dialect == .socketio { return takePacket(client, message) }
    // `{"type":"joined"…` differs from `user_joined` and the rest in the byte after the opening quote.
    guard generator.clients[client].awaited > 0, message.count > 9 else { return }
    let isWelcome = message[9] == UInt8(ascii: "w")
    guard isWelcome || message[9] == UInt8(ascii: "j") else { return }
    advance(client, isWelcome: isWelcome)
  }

  private func advance(_ client: Int, isWelcome: Bool) {
    generator.clients[client].awaited -= 1
    if isWelcome {
      for join in rooms(of: client).compactMap({ settings.dialect.join(room: $0) }) {
        generator.send(text: join, on: client)
      }
    } else if generator.clients[client].awaited == 0 {
      generator.ready(client: client)
    }
  }

  private func takePacket(_ client: Int, _ packet: Span<UInt8>) {
    guard let answer = SocketIOAnswer(packet) else { return }
    if let reply = answer.reply(user: "idle-\(client)") { return generator.send(text: reply, on: client) }
    if generator.clients[client].awaited > 0 { advance(client, isWelcome: answer == .connected) }
  }

  func begin() {
    openingSeconds = Double(Clock.monotonicNanoseconds() - startedAt) / 1e9
    loop.after(milliseconds: settings.seconds * 1000) { [weak self] in
      self?.settle(nil, readings: 0) { [weak self] bytes in
        guard let self else { return }
        self.memory.open = bytes
        for client in 0..<self.clientCount { self.generator.close(client) }
      }
    }
  }

  func closed(_ client: Int) {
    closedCount += 1
    guard closedCount == clientCount else { return }
    settle(nil, readings: 0) { [weak self] bytes in
      self?.memory.closed = bytes
      self?.loop.stop()
    }
  }

  /// Reads the memory until two readings are equal.
  private func settle(_ last: Int?, readings: Int, _ done: @escaping (Int?) -> Void) {
    let bytes = residentBytes()
    guard bytes != last, readings < IdleLoad.readingsMax else { return done(bytes) }
    loop.after(milliseconds: IdleLoad.readingMilliseconds) { [weak self] in
      self?.settle(bytes, readings: readings + 1, done)
    }
  }

  func tickEnded() {}
}

/// The server's resident bytes: nil where they could not be read.
struct MemoryFigures {
  var before: Int?
  var open: Int?
  var closed: Int?

  /// Returns what one of so many connections costs.
  func perConnection(_ connections: Int) -> Double? {
    guard let before, let open else { return nil }
    return Double(open - before) / Double(connections)
  }
}
