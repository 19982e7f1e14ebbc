import HTTPCore
import LoopCore

/// One HTTP request on a connection of its own, whose answer's body is given as it comes. Confined to the loop of its
/// dispatcher.
public final class HTTPExchange {
  /// What comes of a request. Nothing follows `done`, `ended` and a call of ``close()``.
  public enum Event {
    case head(status: Int)
    /// A part of the body.
    case body([UInt8])
    /// The answer is whole.
    case done
    case ended(ConnectionProblem)
  }

  /// What is asked.
  public struct Request: Sendable {
    public var method: String
    /// The path with its query.
    public var target: String
    /// Goes into `Authorization: Bearer`.
    public var token: String?
    /// With its type; nil: none.
    public var body: (bytes: [UInt8], type: String)?

    /// Asks without a body.
    public init(_ method: String, _ target: String, token: String? = nil) {
      (self.method, self.target, self.token) = (method, target, token)
    }

    func text(_ url: ServerURL) -> [UInt8] {
      var lines = ["\(method) \(target) HTTP/1.1", "Host: \(url.authority)", "Connection: close"]
      if let token { lines.append("Authorization: Bearer \(token)") }
      if let body { lines += ["Content-Type: \(body.type)", "Content-Length: \(body.bytes.count)"] }
      return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (body?.bytes ?? [])
    }
  }

  private let url: ServerURL
  private let request: [UInt8]
  private let handle: (Event) -> Void
  private var socket: ClientSocket?
  /// Parts of the body are taken out as they come, so this bounds one part.
  private var response = ResponseParser(bodyBytesMax: 64 << 20)
  private var hasHead = false
  private var isOver = false

  /// Prepares a request.
  ///
  /// - Parameter trust: what the server's certificate is judged by; nil: no TLS.
  public init(
    _ dispatcher: SocketDispatcher, _ url: ServerURL, _ request: Request, trust: TLSClientContext?,
    _ handle: @escaping (Event) -> Void
  ) {
    self.url = url
    self.request = request.text(url)
    self.handle = handle
    socket = ClientSocket(dispatcher, trust: trust) { [weak self] in self?.take($0) }
  }

  /// Sends it.
  public func start() { socket?.dial(url) }

  /// Reads no more until `resume`.
  public func pause() { socket?.pause() }

  /// Reads again.
  public func resume() { socket?.resume() }

  /// Ends the request without an event. Idempotent.
  public func close() {
    isOver = true
    socket?.close()
  }

  private func take(_ event: ClientSocket.Event) {
    guard !isOver else { return }
    switch event {
    case .connected: socket?.send(request)
    case .ended(.closed) where hasHead: finish(response.end())
    case .ended(let problem):
      isOver = true
      handle(.ended(problem))
    case .received(let bytes):
      var cursor = 0
      // Safe because the bytes live through this call and have no other type.
      let event = response.next(
        in: UnsafeBufferPointer(bytes.assumingMemoryBound(to: UInt8.self)).span, from: &cursor)
      if !hasHead, let status = response.receivedStatus {
        hasHead = true
        handle(.head(status: status))
      }
      finish(event)
    }
  }

  private func finish(_ event: ResponseParser.Event) {
    guard !isOver else { return }
    switch event {
    case .needMore:
      let part = response.takeBody()
      if !part.isEmpty { handle(.body(part)) }
    case .failed(let reason):
      close()
      handle(.ended(hasHead ? .closed : .notHTTP("\(reason)")))
    case .response(let received):
      close()
      if !hasHead { handle(.head(status: received.status)) }
      if !received.body.isEmpty { handle(.body(received.body)) }
      handle(.done)
    }
  }
}
