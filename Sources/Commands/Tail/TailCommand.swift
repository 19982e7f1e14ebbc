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

  private let url: ServerURL
  private let settings: ClientSettings
  private let user: String
  private let loop: EventLoop
  private var connection: WebSocketConnection?
  private var session: TailSession
  private var backoff = Backoff()
  private var random = SystemRandomNumberGenerator()
  /// The address that is asked, for messages.
  private let tried: String
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
    command.connection = WebSocketConnection(
      try SocketDispatcher(loop), url, path: url.webSocketPath("ws"), trust: trust, messageBytesMax: messageBytesMax
    ) { [command] event in command.handle(event) }
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
    tried = url.webSocketText(url.webSocketPath("ws"))
    session = TailSession(rooms: rooms, server: tried)
  }

  // MARK: Connection

  private func dial() {
    heardAt = loop.now
    connection?.dial(target: target, token: settings.token)
    watchSilence()
  }

  private func handle(_ event: WebSocketConnection.Event) {
    switch event {
    case .opened:
      hasOpened = true
      connectionsOpened += 1
    case .heard: heardAt = loop.now
    case .idle: break
    case .message(let kind, let payload):
      // Safe because the bytes live through this call and have no other type.
      let bytes = payload.assumingMemoryBound(to: UInt8.self).span
      perform(kind == .text ? session.receive(text: bytes) : session.receive(binary: bytes))
    case .closed(let code, let reason): closed(code, reason)
    // An answer that is no WebSocket is none the next time either, unless it passes.
    case .ended(let problem): if problem.isAnswer, !problem.isPassing { finish(problem) } else { lost(problem) }
    case .broken(let what):
      finish(CommandFailure(ExitStatus.unexpectedAnswer, "\(tried) broke the WebSocket protocol: \(what)"))
    }
  }

  private func finish(_ problem: ConnectionProblem) { finish(problem.failure(url, tried: tried)) }

  /// The path of the WebSocket with the name to join under.
  private var target: String {
    let name = String(decoding: PercentCoding.encode(Array(user.utf8).span), as: UTF8.self)
    return url.target(url.webSocketPath("ws"), adding: "user", name)
  }

  /// Takes the connection for dead when the server's pings stop: half an hour of TCP retries is too long to wait.
  private func watchSilence() {
    let limit = settings.timeoutMilliseconds + (connection?.isOpen == true ? session.pingIntervalMilliseconds : 0)
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
    if let watch { loop.cancel(watch) }
    watch = nil
    connection?.close()
  }

  /// Ends the command; without a failure it has done what it was asked for.
  private func finish(_ failure: CommandFailure?) {
    disconnect()
    self.failure = failure
    loop.stop()
  }

  // MARK: Messages

  private func closed(_ code: CloseCode, _ reason: String) {
    let text = "\(tried) closed the connection: \(code.rawValue) \(reason)"
    switch CloseReason.reconnect(after: code.rawValue) {
    case .soon: return reconnect(after: text, extraWait: 0)
    case .later: return reconnect(after: text, extraWait: Self.rateLimitedWait)
    case .never: break
    }
    let isRefused = [CloseReason.notAuthenticated, .forbidden, .closedByAdmin].contains { $0.code == code.rawValue }
    finish(CommandFailure(isRefused ? ExitStatus.noPermission : ExitStatus.unavailable, text))
  }

  private func perform(_ actions: [TailSession.Action]) {
    for action in actions {
      guard connection?.isOpen == true else { return }
      switch action {
      case .send(let text): connection?.send(.text, text)
      case .print(let line): if !Output.json(line) { finish(nil) }
      case .note(let text): Output.note(text)
      case .settled: backoff.reset()
      case .end(let failure): finish(failure)
      case .retry(let room):
        let opened = connectionsOpened
        loop.after(milliseconds: backoff.next(using: &random)) { [self] in
          if connection?.isOpen == true, opened == connectionsOpened { perform([session.join(room)]) }
        }
      }
    }
  }
}
