import ClientProtocol
import JSONCore
import Testing

@testable import Realtime

/// A hub with a clock that tests move and a delivery that only remembers.
final class HubBench: SessionTransport {
  final class ManualClock {
    /// What nobody sets.
    var milliseconds: UInt64 = 1_700_000_000_000
    /// By how much the wall clock was set forward, or back.
    var offset: Int64 = 0
    var wall: UInt64 { milliseconds &+ UInt64(bitPattern: offset) }
  }

  let clock = ManualClock()
  let broker: FaultyBroker
  let hub: Hub
  private var received: [UInt32: [Text]] = [:]
  private(set) var binaries: [UInt32: [[UInt8]]] = [:]
  private(set) var closes: [UInt32: UInt16] = [:]
  private var nextTarget: UInt32 = 0
  /// Whom each fan-out went to, in which wire format.
  private(set) var deliveries: [(format: WireFormat, targets: [UInt32])] = []
  /// Connections whose sockets take one batch and then no more, until `drain`.
  var stuck: Set<UInt32> = []
  /// Connections that take nothing that nobody asked for.
  var full: Set<UInt32> = []
  /// The queues of connections that take nothing by themselves, in bytes, and those whose room is awaited.
  private var queues: [UInt32: Int] = [:]
  private var awaited: Set<UInt32> = []
  /// The longest that such a queue has been.
  private(set) var longestQueue = 0
  /// Bytes below which such a queue has room, and above which it is near its limit.
  var queueRoom = 150
  var queueLimit = 300
  /// Connections that are read no further.
  private(set) var paused: Set<UInt32> = []
  /// What the hub asked to be done later.
  private var timers: [(at: UInt64, action: () -> Void)] = []

  init(historySize: Int = 100, _ change: (inout HubConfiguration) -> Void = { _ in }) {
    var configuration = HubConfiguration(nodeID: Array("n1".utf8))
    configuration.historySize = historySize
    change(&configuration)
    let clock = clock
    broker = FaultyBroker(historySize: historySize, rules: configuration.rules) { clock.milliseconds }
    hub = Hub(configuration, broker: broker, clock: { clock.wall }, steady: { clock.milliseconds })
    for format in WireFormat.allCases { hub.transports[format] = self }
    hub.after = { [weak self] milliseconds, action in
      guard let self else { return }
      timers.append((clock.milliseconds + UInt64(milliseconds), action))
    }
  }

  /// Opens a session and takes its `welcome`.
  func open(_ user: String, format: WireFormat = .webSocket) -> Client {
    nextTarget += 1
    let arriving = SessionRequest(
      connection: nextTarget, format: format, transport: .websocket, address: Array("127.0.0.1".utf8),
      user: Array(user.utf8))
    let client = Client(bench: self, connection: nextTarget, session: hub.open(arriving))
    _ = client.take()
    return client
  }

  /// Lets time pass, and does what is due then.
  func wait(milliseconds: UInt64) {
    clock.milliseconds += milliseconds
    let due = timers.filter { $0.at <= clock.milliseconds }
    timers.removeAll { $0.at <= clock.milliseconds }
    for timer in due { timer.action() }
    settle()
  }

  /// Gives the hub all that waits at the broker, and all that comes of it: in turns a publication and an answer, or an
  /// answer and a publication. `step` is done after each pair.
  func exchangeAll(answersFirst: Bool = false, _ step: () throws -> Void) rethrows {
    while !broker.answers.isEmpty || !broker.hearings.isEmpty {
      if answersFirst { broker.answerNext() }
      broker.hearNext()
      if !answersFirst { broker.answerNext() }
      try step()
    }
  }

  /// Gives the hub all that waits at the broker, and all that comes of it.
  func exchangeAll() { exchangeAll {} }

  /// Lives a round of the peace that ends a simulation: empties the broker's channels, has everybody `look`, and lets time
  /// pass. `steps` counts the pairs of answers and publications.
  func rest(seed: UInt64, _ steps: inout Int, _ look: () -> Void) throws {
    try exchangeAll {
      steps += 1
      // A peaceful broker is asked a few things for each room and client, not thousands.
      try #require(steps < 5000, "seed \(seed): the hub does not come to rest")
    }
    look()
    clock.milliseconds += 300
    hub.expire()
  }

  /// Makes a client's socket take one more batch and then nothing.
  func stop(_ client: Client) { stuck.insert(client.connection) }

  /// Lets a client's socket take all that was queued; `again`: and then one more batch and nothing.
  func drain(_ client: Client, again: Bool = false) {
    if !again { stuck.remove(client.connection) }
    hub.becameWritable(client.session)
  }

  /// Makes a client's queue take what it is given, and keep it until `drainQueue`.
  func slowDown(_ client: Client) { queues[client.connection] = queues[client.connection] ?? 0 }

  /// Empties a client's queue; `forGood`: and lets it take everything at once again.
  func drainQueue(_ client: Client, forGood: Bool = false) {
    guard queues[client.connection] != nil else { return }
    queues[client.connection] = forGood ? nil : 0
    if awaited.remove(client.connection) != nil { hub.hasRoom(client.session) }
  }

  private func queue(_ bytes: Int, for target: UInt32) {
    guard let queued = queues[target] else { return }
    queues[target] = queued + bytes
    longestQueue = max(longestQueue, queued + bytes)
  }

  /// Opens a session that is to authenticate; its `welcome` is left to be taken.
  func arrive(token: String? = nil) -> Client {
    nextTarget += 1
    let arriving = SessionRequest(
      connection: nextTarget, format: .webSocket, transport: .websocket, address: Array("127.0.0.1".utf8),
      token: token.map { Array($0.utf8) })
    return Client(bench: self, connection: nextTarget, session: hub.open(arriving))
  }

  /// Opens a session under what a token says, and takes its `welcome`.
  func open(_ identity: Identity) -> Client {
    nextTarget += 1
    let arriving = SessionRequest(
      connection: nextTarget, format: .webSocket, transport: .websocket, address: Array("127.0.0.1".utf8),
      identity: identity)
    let client = Client(bench: self, connection: nextTarget, session: hub.open(arriving))
    _ = client.take()
    return client
  }

  /// Ends ticks until nothing is left to do.
  func settle() { repeat { hub.flush() } while hub.hasWork }

  // MARK: SessionTransport

  func rostersChanged(of target: UInt32, by change: Int32) {}

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    deliveries.append((format: format, targets: roster.map(\.connection)))
    var start = 0
    for entry in batch.entries {
      let payload = Array(batch.bytes[start..<entry.end])
      start = entry.end
      for member in roster where entry.origin?.index != member.session {
        remember(payload, entry.kind, member.connection)
      }
    }
    guard sparing else { return }
    for member in roster where stuck.contains(member.connection) {
      hub.becameUnwritable(hub.context.sessions.id(at: member.session))
    }
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    for target in targets where !full.contains(target) { send(message, kind, to: target) }
    return targets.filter(full.contains)
  }

  func hasRoom(_ target: UInt32) -> Bool { queues[target] ?? 0 < queueRoom }
  func awaitRoom(_ target: UInt32) { awaited.insert(target) }
  func isNearLimit(_ target: UInt32) -> Bool { queues[target] ?? 0 > queueLimit }
  func pauseReading(_ target: UInt32) { paused.insert(target) }
  func resumeReading(_ target: UInt32) { paused.remove(target) }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    remember(message.withUnsafeBufferPointer { Array($0) }, kind, target)
  }

  func close(_ target: UInt32, because reason: CloseReason) { closes[target] = reason.code }

  private func remember(_ payload: [UInt8], _ kind: EventKind, _ target: UInt32) {
    queue(payload.count, for: target)
    if kind != .binaryMessage {
      received[target, default: []].append(Text(payload))
    } else {
      binaries[target, default: []].append(payload)
    }
  }

  fileprivate func take(_ target: UInt32) -> [Text] { received.removeValue(forKey: target) ?? [] }
}

/// A JSON text that a session was given.
struct Text: CustomStringConvertible {
  let description: String
  let json: JSONValue

  init(_ bytes: [UInt8]) {
    description = String(decoding: bytes, as: UTF8.self)
    // What is no JSON has no type, and so fails whatever test looks at it.
    json = (try? JSONValue.parse(bytes.span)) ?? .null
  }

  var type: String? { json["type"]?.asString }
  func int(_ key: StaticString) -> Int? { json[key]?.asInt }
  func string(_ key: StaticString) -> String? { json[key]?.asString }
}

/// A session of a bench.
struct Client {
  let bench: HubBench
  let connection: UInt32
  let session: SlabID

  /// Hands a text to the hub without ending the tick.
  func post(_ text: String) {
    let bytes = Array(text.utf8)
    bench.hub.receive(text: bytes.span, from: session)
  }

  /// Hands a text to the hub, ends the tick, and returns all that this client was given.
  @discardableResult
  func send(_ text: String) -> [Text] {
    post(text)
    return take()
  }

  /// Ends the tick and returns what the client was given since the last time.
  func take() -> [Text] {
    bench.settle()
    return bench.take(connection)
  }

  @discardableResult
  func join(_ room: String = "r", since: String? = nil) -> [Text] {
    send(#"{"type":"join","room":"\#(room)""# + (since.map { #","since":\#($0)"# } ?? "") + "}")
  }

  @discardableResult
  func publish(_ members: String, in room: String = "r") -> [Text] {
    send(#"{"type":"message","room":"\#(room)",\#(members)}"#)
  }
}
