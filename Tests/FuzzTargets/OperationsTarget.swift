import ClientProtocol
import HTTPCore
import JSONCore
import Realtime
import Server

/// Drives a hub over the embedded broker, and the admin endpoint over both, with what `OperationGrammar` makes of an input.
///
/// Whatever is asked for, the process goes on, everything that it answers is JSON, and whoever gave an `id` is answered.
final class OperationsTarget: SessionTransport {
  private static let adminToken = Array("t".utf8)
  /// Steps of one input: a longer one finds nothing that this many do not.
  private static let stepsMax = 200

  private final class Clock { var milliseconds: UInt64 = 1_700_000_000_000 }

  private var grammar: OperationGrammar
  private let clock = Clock()
  private let broker: EmbeddedBroker
  private let hub: Hub
  private var sessions: [SlabID] = []
  private var nextTarget: UInt32 = 0
  private var closed: [UInt32] = []
  /// What each session was sent since its last operation.
  private var sent: [UInt32: [[UInt8]]] = [:]
  private var adminAnswers: [Response] = []
  private var timers: [() -> Void] = []

  init(_ input: [UInt8]) {
    grammar = OperationGrammar(input)
    let node = Array("n1".utf8)
    let clock = clock
    broker = EmbeddedBroker(
      nodeID: node, historySize: 5, historyMilliseconds: 300_000, epochSeed: 1, clock: { clock.milliseconds })
    var configuration = HubConfiguration(nodeID: node)
    configuration.historySize = 5
    configuration.roomsPerConnectionMax = 8
    configuration.wildcardsMax = 4
    hub = Hub(configuration, broker: broker, clock: { clock.milliseconds })
    for format in WireFormat.allCases { hub.transports[format] = self }
    hub.tracer = Tracer(share: 0, brokerSpan: "publish", seed: 1) { clock.milliseconds }
    hub.after = { [weak self] _, action in self?.timers.append(action) }
  }

  func check() throws(Broken) {
    open("ann")
    open("bob")
    // A room with one message, and one with more than it keeps.
    for (room, count) in [("one", 1), ("full", 9), ("w:1", 2)] {
      let name = Array(room.utf8)
      for number in 0..<count {
        let data = Array(#"{"n":\#(number)}"#.utf8)
        do { try hub.publish(room: name, data: data.span, idempotencyKey: nil) { _ in } } catch {
          throw Broken(description: "a backend may publish: \(error)")
        }
      }
    }
    var steps = 0
    while !grammar.isAtEnd, steps < Self.stepsMax {
      steps += 1
      try step()
    }
    for session in sessions { hub.close(session) }
    tick()
  }

  private func step() throws(Broken) {
    switch grammar.byte() % 16 {
    case 0: open(["ann", "bob", "eve"][grammar.byte() % 3])
    case 1: closeOne()
    case 2: pass()
    case 3: hub.receive(binary: grammar.binary().span, from: sessions[grammar.byte() % sessions.count])
    case 4, 5, 6: try askAdmin()
    default: try operate()
    }
    tick()
    try checkSent()
  }

  private func open(_ user: String) {
    guard sessions.count < 6 else { return }
    nextTarget += 1
    let format = WireFormat.allCases[Int(nextTarget) % 2]
    sessions.append(
      hub.open(
        SessionRequest(
          connection: nextTarget, format: format, transport: .websocket, address: Array("127.0.0.1".utf8),
          user: Array(user.utf8))))
  }

  private func closeOne() {
    guard sessions.count > 1 else { return }
    hub.close(sessions.remove(at: grammar.byte() % sessions.count))
  }

  private func pass() {
    clock.milliseconds += [1, 1000, 61_000, 301_000, 90_000_000][grammar.byte() % 5]
    hub.expire()
    broker.expire()
    if grammar.byte() % 4 == 0 {
      hub.shrink()
      broker.shrink()
    }
  }

  private func tick() {
    for _ in 0..<20 where hub.hasWork || !timers.isEmpty {
      var due: [() -> Void] = []
      swap(&due, &timers)
      for action in due { action() }
      hub.flush()
    }
  }

  private func operate() throws(Broken) {
    let session = sessions[grammar.byte() % sessions.count]
    let (text, id) = grammar.operation()
    let bytes = Array(text.utf8)
    guard JSONScanner.isValidUTF8(bytes.span) else { return }
    sent = [:]
    hub.receive(text: bytes.span, from: session)
    tick()
    // The id of malformed JSON is not looked for.
    guard let id, (try? JSONScanner.validate(bytes.span)) != nil else { return }
    let quoted = Array(#""id":"\#(id)""#.utf8)
    let isAnswered = sent.values.joined().contains { OperationsTarget.contains($0, quoted) }
    try require(isAnswered, "what has an id is answered: \(text)")
  }

  private static func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    guard bytes.count >= part.count else { return false }
    return (0...(bytes.count - part.count)).contains { bytes[$0...].starts(with: part) }
  }

  private func askAdmin() throws(Broken) {
    let endpoint = AdminEndpoint(
      hub: hub, broker: broker, keys: AdminEndpoint.Keys(adminToken: Self.adminToken, apiKey: nil),
      messageBytesMax: 65536, guesses: AuthFailureLimiter(perMinute: 0, now: .zero)
    ) { [weak self] in self?.adminAnswers.append($1) }
    let (method, target, body) = grammar.adminRequest()
    let head = Array("\(method) /admin/\(target) HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\r\n".utf8)
    var parser = RequestParser()
    var cursor = 0
    guard case .request(let parsed) = parser.next(in: head.span, from: &cursor) else { return }
    adminAnswers = []
    endpoint.answer(
      Request(connection: sessions[0], head: parsed, body: Array(body.utf8), address: Array("127.0.0.1".utf8)))
    // Of several large reads in a tick the last ones wait for the next.
    if adminAnswers.isEmpty { tick() }
    try require(adminAnswers.count == 1, "an admin request has one answer: \(method) \(target) \(body)")
    for answer in adminAnswers where !answer.body.isEmpty {
      // Of a batch each line is one.
      let lines = target == "batch" ? answer.body.split(separator: UInt8(ascii: "\n")) : [answer.body[...]]
      for line in lines {
        try require((try? JSONScanner.validate(line.span)) != nil, "an admin answer is JSON: \(target)")
      }
      try require(answer.status != 500, "no admin request is the server's fault: \(target)")
    }
  }

  private func checkSent() throws(Broken) {
    for text in sent.values.joined() {
      try require((try? JSONScanner.validate(text.span)) != nil, "a client is sent JSON")
      learnEpoch(from: text)
    }
    sent = [:]
  }

  private func learnEpoch(from text: [UInt8]) {
    guard let epoch = (try? JSONValue.parse(text.span))?["epoch"]?.asString else { return }
    grammar.knownEpoch = epoch
  }

  // MARK: SessionTransport

  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {}
  func rostersChanged(of target: UInt32, by change: Int32) {}
  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    if kind != .binaryMessage { sent[target, default: []].append([UInt8](copying: message)) }
  }
  func pauseReading(_ target: UInt32) {}
  func resumeReading(_ target: UInt32) {}
  func close(_ target: UInt32, because reason: CloseReason) {}
}
