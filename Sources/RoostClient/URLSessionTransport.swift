#if canImport(Darwin)
  import Foundation
  import Synchronization

  typealias SystemTransport = URLSessionTransport

  /// WebSockets and HTTP by URLSession, on Apple platforms.
  struct URLSessionTransport: ClientTransport {
    private let base: URLComponents
    private let session: URLSession

    init(_ text: String) throws {
      guard var parts = URLComponents(string: text), parts.host?.isEmpty == false,
        ["http", "https", "ws", "wss"].contains(parts.scheme?.lowercased())
      else { throw ClientError(.badAddress, "\"\(text)\" is not an address: expected one such as https://example.com") }
      // The path of the WebSocket at its end is known for what it is.
      while parts.path.hasSuffix("/") { parts.path.removeLast() }
      if parts.path.hasSuffix("/ws") { parts.path.removeLast(3) }
      base = parts
      let configuration = URLSessionConfiguration.ephemeral
      configuration.timeoutIntervalForRequest = 90
      configuration.requestCachePolicy = .reloadIgnoringLocalCacheData
      session = URLSession(configuration: configuration)
    }

    func webSocket(_ request: WireRequest) -> any WireConnection {
      WebSocketTaskWire(session.webSocketTask(with: urlRequest(request, isWebSocket: true)))
    }

    func http(_ request: WireRequest) -> any WireConnection {
      RequestWire(session, urlRequest(request, isWebSocket: false))
    }

    private func urlRequest(_ request: WireRequest, isWebSocket: Bool) -> URLRequest {
      var parts = base
      let isSecure = ["https", "wss"].contains(base.scheme?.lowercased())
      parts.scheme = isWebSocket ? (isSecure ? "wss" : "ws") : (isSecure ? "https" : "http")
      parts.path += "/\(request.endpoint)"
      let items = (base.queryItems ?? []) + request.query.map { URLQueryItem(name: $0.name, value: $0.value) }
      parts.queryItems = items.isEmpty ? nil : items
      // Safe because the parts came from an address, and a path and a query were added.
      var made = URLRequest(url: parts.url!)
      made.httpMethod = request.method
      if let token = request.token { made.setValue("Bearer \(token)", forHTTPHeaderField: "Authorization") }
      if let body = request.body {
        made.httpBody = Data(body)
        made.setValue(request.bodyType, forHTTPHeaderField: "Content-Type")
      }
      return made
    }
  }

  /// A WebSocket of URLSession. It reads one message after the other, and the next one only when the client has taken what
  /// came before, beyond ``wireBytesMax``.
  private final class WebSocketTaskWire: WireConnection {
    let events: AsyncStream<WireEvent>
    private let continuation: AsyncStream<WireEvent>.Continuation
    private let task: URLSessionWebSocketTask
    private let outgoing: AsyncStream<[UInt8]>.Continuation
    private let waiting = Atomic<Int>(0)

    init(_ task: URLSessionWebSocketTask) {
      self.task = task
      task.maximumMessageSize = 64 << 20
      (events, continuation) = AsyncStream.makeStream(of: WireEvent.self)
      let (texts, outgoing) = AsyncStream.makeStream(of: [UInt8].self)
      self.outgoing = outgoing
      task.resume()
      Task { for await text in texts { try? await task.send(.string(String(decoding: text, as: UTF8.self))) } }
      Task { await self.read() }
    }

    func send(_ text: [UInt8]) { outgoing.yield(text) }
    func consumed(_ bytes: Int) { waiting.wrappingSubtract(bytes, ordering: .relaxed) }

    func close() {
      outgoing.finish()
      continuation.finish()
      task.cancel(with: .normalClosure, reason: nil)
    }

    private func read() async {
      while true {
        while waiting.load(ordering: .relaxed) >= wireBytesMax { try? await Task.sleep(for: .milliseconds(10)) }
        do {
          switch try await task.receive() {
          case .string(let text): give(.texts([Array(text.utf8)]), text.utf8.count)
          case .data(let data): give(.binaries([Array(data)]), data.count)
          @unknown default: break
          }
        } catch {
          continuation.yield(.ended(end(error)))
          continuation.finish()
          outgoing.finish()
          return
        }
      }
    }

    private func give(_ event: WireEvent, _ bytes: Int) {
      waiting.wrappingAdd(bytes, ordering: .relaxed)
      continuation.yield(event)
    }

    private func end(_ error: any Error) -> WireEnd {
      if task.closeCode != .invalid {
        let reason = task.closeReason.map { String(decoding: $0, as: UTF8.self) } ?? ""
        return .closed(code: UInt16(clamping: task.closeCode.rawValue), reason: reason)
      }
      if let answer = task.response as? HTTPURLResponse, answer.statusCode != 101 {
        return .refused(status: answer.statusCode)
      }
      return WireEnd(error)
    }
  }

  /// A request of URLSession whose answer is given as it comes.
  private final class RequestWire: WireConnection {
    let events: AsyncStream<WireEvent>
    private let continuation: AsyncStream<WireEvent>.Continuation
    private let reading: Task<Void, Never>
    private let waiting: Counter

    /// Bytes that the client has not taken.
    private final class Counter: Sendable {
      let bytes = Atomic<Int>(0)
    }

    init(_ session: URLSession, _ request: URLRequest) {
      let (events, continuation) = AsyncStream.makeStream(of: WireEvent.self)
      let waiting = Counter()
      (self.events, self.continuation, self.waiting) = (events, continuation, waiting)
      reading = Task {
        do {
          let (bytes, response) = try await session.bytes(for: request)
          continuation.yield(.status((response as? HTTPURLResponse)?.statusCode ?? 0))
          var part: [UInt8] = []
          for try await byte in bytes {
            part.append(byte)
            // An event stream's events end with a line feed; other bodies are short.
            guard byte == 0x0A || part.count >= 65_536 else { continue }
            while waiting.bytes.load(ordering: .relaxed) >= wireBytesMax {
              try await Task.sleep(for: .milliseconds(10))
            }
            waiting.bytes.wrappingAdd(part.count, ordering: .relaxed)
            continuation.yield(.body(part))
            part = []
          }
          if !part.isEmpty { continuation.yield(.body(part)) }
          continuation.yield(.ended(.done))
        } catch {
          continuation.yield(.ended(WireEnd(error)))
        }
        continuation.finish()
      }
    }

    func send(_ text: [UInt8]) {}
    func consumed(_ bytes: Int) { waiting.bytes.wrappingSubtract(bytes, ordering: .relaxed) }

    func close() {
      continuation.finish()
      reading.cancel()
    }
  }

  extension WireEnd {
    init(_ error: any Error) {
      let unreachable: Set<URLError.Code> = [
        .cannotFindHost, .cannotConnectToHost, .dnsLookupFailed, .notConnectedToInternet, .serverCertificateUntrusted,
        .serverCertificateHasBadDate, .serverCertificateHasUnknownRoot, .secureConnectionFailed,
      ]
      if let error = error as? URLError, unreachable.contains(error.code) {
        self = .unreachable(error.localizedDescription)
      } else {
        self = .broken("\(error.localizedDescription)")
      }
    }
  }
#endif
