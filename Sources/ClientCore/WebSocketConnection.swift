import HTTPCore
import LoopCore
import WebSocketCore

/// One WebSocket after the other from the client's side: connects, shakes hands, answers pings and closes, and gives its
/// owner whole messages. Confined to the loop of its dispatcher.
public final class WebSocketConnection {
  /// What happens to a WebSocket. Nothing follows `closed`, `ended` and `broken`, nor a call of ``close(_:)``, until the next
  /// ``dial(target:token:)``.
  public enum Event {
    case opened
    /// Bytes have come, of whatever kind: the server is there.
    case heard
    /// A message, gone after the call; a text is valid UTF-8.
    case message(MessageKind, UnsafeRawBufferPointer)
    /// All that was read at once has been given.
    case idle
    /// The server closed it; the close was answered.
    case closed(CloseCode, reason: String)
    /// The connection is over without a close frame, or never was.
    case ended(ConnectionProblem)
    /// The server broke the protocol; the WebSocket was failed.
    case broken(String)
  }

  private enum Phase {
    case closed
    case handshaking
    case open
  }

  private let url: ServerURL
  private let path: String
  private let messageBytesMax: Int
  private let handle: (Event) -> Void
  private var socket: ClientSocket?
  private var handshake: ClientHandshake
  private var request: [UInt8] = []
  private var response = ResponseParser(bodyBytesMax: 64 << 10)
  private var reader: MessageReader
  private var random = SystemRandomNumberGenerator()
  private var phase = Phase.closed

  /// - Parameters:
  ///   - trust: what the server's certificate is judged by; nil: no TLS.
  ///   - path: of the WebSocket, as ``ServerURL/webSocketPath(_:)`` makes it.
  ///   - messageBytesMax: a longer message breaks the protocol.
  public init(
    _ dispatcher: SocketDispatcher, _ url: ServerURL, path: String, trust: TLSClientContext?, messageBytesMax: Int,
    _ handle: @escaping (Event) -> Void
  ) {
    self.url = url
    self.path = path
    self.messageBytesMax = messageBytesMax
    self.handle = handle
    handshake = ClientHandshake(url, path: path, nonce: [])
    reader = MessageReader(role: .client, messageBytesMax: messageBytesMax, deflate: false)
    socket = ClientSocket(dispatcher, trust: trust) { [weak self] in self?.take($0) }
  }

  /// The address that is asked, for messages.
  public var tried: String { handshake.tried }

  /// Whether messages may be sent.
  public var isOpen: Bool { phase == .open }

  /// Starts to connect.
  ///
  /// - Parameter target: the path with its query.
  public func dial(target: String, token: String?) {
    handshake = ClientHandshake(url, path: path, nonce: Digest.randomBytes(16))
    request = handshake.request(target: target, token: token)
    response = ResponseParser(bodyBytesMax: 64 << 10)
    reader = MessageReader(role: .client, messageBytesMax: messageBytesMax, deflate: false)
    phase = .handshaking
    socket?.dial(url)
  }

  /// Sends one message.
  public func send(_ kind: MessageKind, _ payload: [UInt8]) {
    guard phase == .open else { return }
    send(kind == .text ? Opcode.text : .binary, payload)
  }

  /// Bytes that wait for the kernel.
  public var unsentCount: Int { socket?.unsentCount ?? 0 }

  /// Reads no more until `resume`.
  public func pause() { socket?.pause() }

  /// Reads again.
  public func resume() { socket?.resume() }

  /// Ends the WebSocket without an event, an open one with a close frame. Idempotent.
  public func close(_ code: CloseCode = .normal) {
    if phase == .open { send(.close, closeBody(code)) }
    phase = .closed
    socket?.close()
  }

  private func take(_ event: ClientSocket.Event) {
    switch event {
    case .connected: socket?.send(request)
    case .ended(let problem):
      phase = .closed
      handle(.ended(problem))
    case .received(let bytes):
      handle(.heard)
      var cursor = 0
      if phase == .handshaking { shakeHands(bytes, &cursor) }
      while phase == .open, cursor < bytes.count { takeEvent(bytes, &cursor) }
      if phase == .open { handle(.idle) }
    }
  }

  private func shakeHands(_ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    // Safe because the bytes live through this call and have no other type.
    switch response.next(in: UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span, from: &cursor) {
    case .needMore: break
    case .failed(let reason): end(.notHTTP("\(reason)"))
    case .response(let received):
      if let problem = handshake.problem(received) { return end(problem) }
      phase = .open
      handle(.opened)
    }
  }

  private func end(_ problem: ConnectionProblem) {
    close()
    handle(.ended(problem))
  }

  private func takeEvent(_ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    switch reader.next(in: bytes, from: &cursor) {
    case .needMore, .pong: break
    case .message(let kind, _, let payload):
      // Safe because the payload lives through the call.
      payload.withSpan(in: bytes) { span in span.withUnsafeBytes { handle(.message(kind, $0)) } }
    case .ping(let payload): send(.pong, payload.withSpan(in: bytes) { [UInt8](copying: $0) })
    case .close(let code, let reason):
      let code = code ?? .noStatus
      // RFC 6455 section 5.5.1: a close is answered with a close.
      send(.close, closeBody(code == .noStatus ? nil : code))
      let reason = String(decoding: reason.withSpan(in: bytes) { [UInt8](copying: $0) }, as: UTF8.self)
      phase = .closed
      socket?.close()
      handle(.closed(code, reason: reason))
    case .failed(let code, let what):
      close(code)
      handle(.broken("\(what)"))
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
}
