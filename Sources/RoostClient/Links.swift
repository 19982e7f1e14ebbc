import ClientProtocol
import JSONCore

/// How a client is connected.
public enum Transport: String, Sendable, CaseIterable {
  /// A WebSocket: both ways over one connection.
  case webSocket = "websocket"
  /// Server-Sent Events, and requests for what the client sends.
  case eventStream = "sse"
  /// Requests for both.
  case poll
}

/// An operation on its way out.
struct Operation: Sendable {
  let id: String
  let type: ClientOperation.Kind
  let room: String?
  let text: [UInt8]
}

/// One connection to a node by whatever transport: the server's events come in, operations go out.
protocol Link: Sendable {
  /// Whether an operation `ping` shows that what comes in still comes.
  var answersPings: Bool { get }
  /// Opens the connection and gives what comes until its end.
  func run(_ give: @escaping @Sendable (LinkEvent) async -> Void) async -> WireEnd
  /// Sends an operation, after those that were sent before.
  func send(_ operation: Operation)
  /// Ends it.
  func close()
}

/// What comes over a link.
enum LinkEvent: Sendable {
  /// Texts of the server, in order.
  case texts([[UInt8]])
  case binaries([[UInt8]])
  /// The server is there.
  case alive
  /// An operation could not be sent: the connection is of no use.
  case lost(String)
}

/// Who connects.
struct Identity: Sendable {
  var user: String?
  var token: String?

  func apply(to request: inout WireRequest) {
    request.token = token
    if token == nil, let user { request.query.append(("user", user)) }
  }

  /// Who connects, asked for each request: the token of a connection may be replaced while it lasts.
  typealias Source = @Sendable () async -> Identity
}

/// A link over a WebSocket.
struct WebSocketLink: Link {
  private let wire: any WireConnection
  let answersPings = true

  init(_ transport: any ClientTransport, _ identity: Identity) {
    var request = WireRequest("ws")
    identity.apply(to: &request)
    wire = transport.webSocket(request)
  }

  func run(_ give: @escaping @Sendable (LinkEvent) async -> Void) async -> WireEnd {
    for await event in wire.events {
      switch event {
      case .texts(let texts):
        await give(.texts(texts))
        wire.consumed(texts.reduce(0) { $0 + $1.count })
      case .binaries(let payloads):
        await give(.binaries(payloads))
        wire.consumed(payloads.reduce(0) { $0 + $1.count })
      case .opened: await give(.alive)
      case .status, .body: break
      case .ended(let end): return end
      }
    }
    return .broken("closed")
  }

  func send(_ operation: Operation) { wire.send(operation.text) }
  func close() { wire.close() }
}

/// Sends the operations of a connection by requests, one after the other.
///
/// The answer to a join or a leave also comes down the connection, without its `id`, where the messages of the room begin or
/// end: that one counts, so it is given the `id`, and the answer of the request is dropped.
final class OperationSender: Sendable {
  private let transport: any ClientTransport
  private let identity: Identity.Source
  private let queue: AsyncStream<Operation>
  private let continuation: AsyncStream<Operation>.Continuation
  private let moves = Moves()

  private actor Moves {
    private var ids: [String: [String]] = [:]

    func note(_ key: String, _ id: String) { ids[key, default: []].append(id) }
    func take(_ key: String) -> String? {
      guard var waiting = ids[key], !waiting.isEmpty else { return nil }
      let id = waiting.removeFirst()
      ids[key] = waiting.isEmpty ? nil : waiting
      return id
    }
    func forget(_ key: String, _ id: String) { ids[key]?.removeAll { $0 == id } }
  }

  init(_ transport: any ClientTransport, _ identity: @escaping Identity.Source) {
    (self.transport, self.identity) = (transport, identity)
    (queue, continuation) = AsyncStream.makeStream(of: Operation.self)
  }

  func send(_ operation: Operation) { continuation.yield(operation) }
  func finish() { continuation.finish() }

  /// Sends operations for a connection until `finish`, or until one cannot be sent.
  func run(connection: String, _ give: @escaping @Sendable (LinkEvent) async -> Void) async {
    for await operation in queue {
      guard !Task.isCancelled else { return }
      let key = Self.key(operation)
      if let key { await moves.note(key, operation.id) }
      var request = WireRequest("send")
      request.method = "POST"
      request.query = [("connection", connection)]
      await identity().apply(to: &request)
      request.body = operation.text
      let answer = await Answer(transport.http(request))
      guard let text = answer.object else { return await give(.lost(answer.problem)) }
      if let key {
        let isError = (try? ServerMessage(parsing: text.span))?.isType("error") ?? false
        guard isError else { continue }
        await moves.forget(key, operation.id)
      }
      await give(.texts([text]))
    }
  }

  /// Gives the answers to joins and leaves among texts of the connection the `id` of their operation.
  func label(_ texts: [[UInt8]]) async -> [[UInt8]] {
    var labelled = texts
    for (index, text) in texts.enumerated() {
      guard let message = try? ServerMessage(parsing: text.span), message.id == nil, let room = message.room else {
        continue
      }
      guard message.isType("joined") || message.isType("left") else { continue }
      let key = (message.isType("joined") ? "join " : "leave ") + string(room)
      guard let id = await moves.take(key) else { continue }
      labelled[index] = Array("{\"id\":\"\(id)\",".utf8) + text.dropFirst()
    }
    return labelled
  }

  private static func key(_ operation: Operation) -> String? {
    switch operation.type {
    case .join: "join \(operation.room ?? "")"
    case .leave: "leave \(operation.room ?? "")"
    default: nil
    }
  }
}

/// The whole answer to a request.
struct Answer: Sendable {
  private(set) var status: Int?
  private(set) var body: [UInt8] = []
  private(set) var end = WireEnd.broken("closed")

  init(_ wire: any WireConnection) async {
    await withTaskCancellationHandler {
      for await event in wire.events {
        switch event {
        case .status(let status): self.status = status
        case .body(let bytes):
          body += bytes
          wire.consumed(bytes.count)
        case .ended(let end): self.end = end
        case .opened, .texts, .binaries: break
        }
      }
    } onCancel: {
      wire.close()
    }
  }

  var isWhole: Bool { if case .done = end { true } else { false } }

  /// The body when it is a JSON object of the client protocol.
  var object: [UInt8]? {
    guard isWhole, (try? ServerMessage(parsing: body.span))?.type.isEmpty == false else { return nil }
    return body
  }

  var problem: String { status.map { "the server answered \($0)" } ?? "\(end)" }
}
