import ClientCore
import ClientProtocol
import Glibc
import HTTPCore
import LoopCore
import WebSocketCore

/// `roost tail`: prints the messages of rooms until it is interrupted. Confined to the thread that runs it.
final class TailCommand {
  /// Bytes of a message; a server's `--max-message` is smaller.
  private static let messageBytesMax = 64 << 20
  /// Milliseconds added to the backoff when the server says that we come too often (close code 4429).
  private static let rateLimitedWait = 10_000

  private enum Phase {
    case waiting
    case handshaking
    case open
  }

  private let url: ServerURL
  private let settings: ClientSettings
  private let user: String
  private let loop: EventLoop
  private var socket: ClientSocket?
  private var session: TailSession
  private var backoff = Backoff()
  private var random = SystemRandomNumberGenerator()
  private var phase = Phase.waiting
  private var handshake: ClientHandshake
  private var response = ResponseParser(bodyBytesMax: 64 << 10)
  private var reader = MessageReader(role: .client, messageBytesMax: TailCommand.messageBytesMax, deflate: false)
  /// Whether there was a connection ever; before, failing to connect is the end.
  private var hasOpened = false
  private var connectionsOpened = 0
  private var heardAt: UInt64 = 0
  private var watch: EventLoop.TimerID?
  private var failure: CommandFailure?

  /// Prints the messages of `rooms`; returns after SIGINT, SIGTERM, or the end of the reader of standard output.
  static func run(_ settings: ClientSettings, rooms: [String]) throws(CommandFailure) {
    let url = try settings.server
    let trust = try trust(for: url)
    let failure: CommandFailure?
    do throws(SystemError) {
      failure = try follow(url, trust, settings, rooms: rooms)
    } catch {
      throw CommandFailure(ExitStatus.unavailable, error.description)
    }
    if let failure { throw failure }
  }

  private static func trust(for url: ServerURL) throws(CommandFailure) -> TLSClientContext? {
    guard url.isSecure else { return nil }
    do throws(TLSError) {
      return try TLSClientContext(authorityPath: nil, certificatePath: nil, keyPath: nil)
    } catch {
      throw CommandFailure(ExitStatus.usage, "\(error.description); check SSL_CERT_FILE")
    }
  }

  private static func follow(
    _ url: ServerURL, _ trust: TLSClientContext?, _ settings: ClientSettings, rooms: [String]
  ) throws(SystemError) -> CommandFailure? {
    let loop = try EventLoop()
    let command = TailCommand(url, settings, rooms: rooms, loop)
    // Before any thread is started: the resolver's must not take the signals.
    let signals = try Signals(loop, [SIGINT, SIGTERM]) { [command] _ in command.finish(nil) }
    command.socket = try ClientSocket(loop, trust: trust) { [command] event in command.handle(event) }
    command.dial()
    withExtendedLifetime(signals) { loop.run() }
    return command.failure
  }

  private init(_ url: ServerURL, _ settings: ClientSettings, rooms: [String], _ loop: EventLoop) {
    self.url = url
    self.settings = settings
    self.loop = loop
    // The same name on every connection, so that the rooms see one member come and go.
    user = settings.user ?? "tail-" + String(UInt32.random(in: 0x100_0000...0xFFF_FFFF), radix: 16).suffix(6)
    handshake = ClientHandshake(url, path: url.webSocketPath("ws"), nonce: [])
    session = TailSession(rooms: rooms, server: handshake.tried)
  }

  // MARK: Connection

  private func dial() {
    handshake = ClientHandshake(url, path: url.webSocketPath("ws"), nonce: Digest.randomBytes(16))
    response = ResponseParser(bodyBytesMax: 64 << 10)
    reader = MessageReader(role: .client, messageBytesMax: Self.messageBytesMax, deflate: false)
    phase = .handshaking
    heardAt = loop.now
    watchSilence()
    socket?.dial(url)
  }

  private func handle(_ event: ClientSocket.Event) {
    switch event {
    case .connected: socket?.send(handshake.request(target: target, token: settings.token))
    case .ended(let problem): lost(problem)
    case .received(let bytes):
      heardAt = loop.now
      var cursor = 0
      if phase == .handshaking { shakeHands(bytes, &cursor) }
      while phase == .open, cursor < bytes.count { takeEvent(bytes, &cursor) }
    }
  }

  private func shakeHands(_ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    // Safe because the bytes live through this call and have no other type.
    let event = response.next(in: UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span, from: &cursor)
    switch event {
    case .needMore: break
    case .failed(let reason): finish(.notHTTP("\(reason)"))
    case .response(let received):
      guard let problem = handshake.problem(received) else {
        phase = .open
        hasOpened = true
        connectionsOpened += 1
        return
      }
      if problem.isPassing { lost(problem) } else { finish(problem) }
    }
  }

  private func finish(_ problem: ConnectionProblem) { finish(problem.failure(url, tried: handshake.tried)) }

  /// The path of the WebSocket with the name to join under.
  private var target: String {
    let name = String(decoding: PercentCoding.encode(Array(user.utf8).span), as: UTF8.self)
    return url.target(url.webSocketPath("ws"), adding: "user", name)
  }

  /// Takes the connection for dead when the server's pings stop: half an hour of TCP retries is too long to wait.
  private func watchSilence() {
    let limit = settings.timeoutMilliseconds + (phase == .open ? session.pingIntervalMilliseconds : 0)
    let silent = Int((loop.now &- heardAt) / 1_000_000)
    if silent >= limit { return lost(.silent(milliseconds: limit)) }
    watch = loop.after(milliseconds: limit - silent) { [self] in watchSilence() }
  }

  /// Connects again after a backoff, or gives up when there never was a connection.
  private func lost(_ problem: ConnectionProblem) {
    disconnect()
    if hasOpened { reconnect(after: problem.reason) } else { finish(problem) }
  }

  private func reconnect(after reason: String, extraWait: Int = 0) {
    disconnect()
    let wait = backoff.next(using: &random) + extraWait
    Output.note("\(reason); connecting again in \(wait) ms")
    loop.after(milliseconds: wait) { [self] in dial() }
  }

  private func disconnect() {
    phase = .waiting
    if let watch { loop.cancel(watch) }
    watch = nil
    socket?.close()
  }

  /// Ends the command; without a failure it has done what it was asked for.
  private func finish(_ failure: CommandFailure?) {
    if phase == .open { send(.close, closeBody(.normal)) }
    disconnect()
    self.failure = failure
    loop.stop()
  }

  // MARK: Messages

  private func takeEvent(_ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    switch reader.next(in: bytes, from: &cursor) {
    case .needMore, .pong: break
    case .message(let kind, _, let payload):
      perform(payload.withSpan(in: bytes) { kind == .text ? session.receive(text: $0) : session.receive(binary: $0) })
    case .ping(let payload): send(.pong, payload.withSpan(in: bytes) { copy($0) })
    case .close(let code, let reason):
      closed(code ?? .noStatus, String(decoding: reason.withSpan(in: bytes) { copy($0) }, as: UTF8.self))
    case .failed(let code, let what):
      send(.close, closeBody(code))
      phase = .waiting
      finish(CommandFailure(ExitStatus.unexpectedAnswer, "\(handshake.tried) broke the WebSocket protocol: \(what)"))
    }
  }

  private func closed(_ code: CloseCode, _ reason: String) {
    // RFC 6455 section 5.5.1: a close is answered with a close.
    send(.close, closeBody(code == .noStatus ? nil : code))
    phase = .waiting
    let text = "\(handshake.tried) closed the connection: \(code.rawValue) \(reason)"
    switch CloseReason.reconnect(after: code.rawValue) {
    case .soon: return reconnect(after: text, extraWait: 0)
    case .later: return reconnect(after: text, extraWait: Self.rateLimitedWait)
    case .never: break
    }
    let isIdentity = [CloseReason.notAuthenticated.code, CloseReason.forbidden.code].contains(code.rawValue)
    finish(CommandFailure(isIdentity ? ExitStatus.noPermission : ExitStatus.unavailable, text))
  }

  private func perform(_ actions: [TailSession.Action]) {
    for action in actions {
      guard phase == .open else { return }
      switch action {
      case .send(let text): send(.text, text)
      case .print(let line): if !Output.json(line) { finish(nil) }
      case .note(let text): Output.note(text)
      case .settled: backoff.reset()
      case .end(let failure): finish(failure)
      case .retry(let room):
        let connection = connectionsOpened
        loop.after(milliseconds: backoff.next(using: &random)) { [self] in
          if phase == .open, connection == connectionsOpened { perform([session.join(room)]) }
        }
      }
    }
  }

  private func send(_ opcode: Opcode, _ payload: [UInt8]) {
    var frame: [UInt8] = []
    // RFC 6455 section 10.3: a fresh key that nobody can guess for each frame.
    let key = MaskingKey(UInt32.random(in: .min ... .max, using: &random))
    FrameWriter.appendMaskedFrame(opcode, key: key, payload: payload.span, to: &frame)
    socket?.send(frame)
  }

  private func closeBody(_ code: CloseCode?) -> [UInt8] {
    let noReason: [UInt8] = []
    return FrameWriter.closeBody(code, reason: noReason.span)
  }

  private func copy(_ span: Span<UInt8>) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(span.count)
    for index in span.indices { bytes.append(span[index]) }
    return bytes
  }
}
