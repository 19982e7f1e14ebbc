import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// `POST /send`: client operations for those without a socket. The body is the JSON that a WebSocket would carry, the answer the
/// JSON that it would get; an error has the matching status. A body of `application/x-ndjson` is a batch, one operation a line,
/// answered one line each. With `connection` it is an operation of that connection, wherever it is. Confined to the loop that
/// created it.
final class SendEndpoint {
  private let hub: Hub
  private let forwarder: ConnectionForwarder
  private let identifier: RequestIdentifier
  private let messageBytesMax: Int
  private let respond: (SlabID, Response) -> Void

  init(
    hub: Hub, forwarder: ConnectionForwarder, identifier: RequestIdentifier, messageBytesMax: Int,
    respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.forwarder = forwarder
    self.identifier = identifier
    self.messageBytesMax = messageBytesMax
    self.respond = respond
  }

  /// The largest body in bytes: one that is just too large is answered with what is allowed.
  func bodyBytesMax(_ head: RequestHead) -> Int {
    SendEndpoint.isBatch(head) ? SendBatch.bytesMax : messageBytesMax + 1024
  }

  /// What is wrong with an operation that is too large.
  static func tooLarge(_ count: Int, _ max: Int) -> String { tooLarge("\(count) bytes", max) }

  private static func tooLarge(_ size: String, _ max: Int) -> String {
    "the operation has \(size); --max-message allows \(max)"
  }

  /// The answer to a body that is larger than `bodyBytesMax`.
  func bodyRefusal(_ head: RequestHead) -> Response {
    let size = head.bodySize(over: bodyBytesMax(head))
    let message =
      SendEndpoint.isBatch(head)
      ? "the batch has \(size); one has at most \(SendBatch.bytesMax) bytes: send several"
      : SendEndpoint.tooLarge(size, messageBytesMax)
    return SendEndpoint.response(status: 413, ServerEvent.json(ofError: ProtocolError(.tooLarge, message)))
  }

  /// Whether the body is a batch, by its type.
  private static func isBatch(_ head: RequestHead) -> Bool { head.mediaType == NDJSON.contentType.description }

  func answer(_ request: Request) {
    guard request.head.method == .post else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("POST"))
    }
    guard request.head.value(.idempotencyKey) == nil else {
      return refuse(request, .badRequest, "/send takes no Idempotency-Key: give the operation an id")
    }
    if SendEndpoint.isBatch(request.head) { return answerBatch(request) }
    guard request.body.count <= messageBytesMax else {
      return refuse(request, .tooLarge, SendEndpoint.tooLarge(request.body.count, messageBytesMax))
    }
    guard JSONScanner.isValidUTF8(request.body.span) else {
      return refuse(request, .badRequest, "the body is not valid UTF-8")
    }
    if let connection = request.head.query.first("connection") { return perform(request, of: connection) }
    identifier.identify(request, over: nil) { [weak self] result in
      switch result {
      case .success(let (user, identity)): self?.perform(request, user: user, identity)
      case .failure(let error): self?.refuse(request, error.code, error.message)
      }
    }
  }

  /// Has the node that holds a connection perform the operation as the connection's.
  private func perform(_ request: Request, of connection: [UInt8]) {
    identifier.identifyOwner(request) { [weak self] result in
      switch result {
      case .success(let owner):
        let body = OperationTrace.add(request.head.trace, to: request.body)
        let question = ConnectionQuestion(.operation(body), of: connection, by: owner)
        self?.forwarder.perform(question) { self?.finish(request, status: $0.status, $0.body) }
      case .failure(let error): self?.refuse(request, error.code, error.message)
      }
    }
  }

  private func perform(_ request: Request, user: [UInt8], _ identity: Identity?) {
    let caller = RequestCaller(
      user: user, identity: identity, address: request.address, trace: request.head.trace
    ) { [weak self] text, code in
      self?.finish(request, status: code?.httpStatus ?? 200, text)
    }
    let body = request.body
    hub.perform(body.span, by: caller)
  }

  /// Answers with what became of the operation; with what is missing, when the body is a batch that does not say so.
  private func finish(_ request: Request, status: Int, _ text: [UInt8]) {
    guard status == ErrorCode.badRequest.httpStatus, NDJSON.holdsSeveral(request.body) else {
      return send(status: status, text, for: request)
    }
    refuse(request, .badRequest, NDJSON.untold)
  }

  private func answerBatch(_ request: Request) {
    let lines: [[UInt8]]
    do throws(ProtocolError) { lines = try SendBatch.lines(of: request.body) } catch {
      return refuse(request, error.code, error.message)
    }
    if let connection = request.head.query.first("connection") {
      identifier.identifyOwner(request) { [weak self, forwarder] result in
        switch result {
        case .success(let owner):
          let trace = request.head.trace
          // Where one line finds nobody, the others do not wait for that as well.
          var failed: [UInt8]?
          self?.perform(lines, of: request, isInTurn: true) { line, reply in
            if let failed { return reply(failed) }
            let line = OperationTrace.add(trace, to: line)
            forwarder.perform(ConnectionQuestion(.operation(line), of: connection, by: owner)) {
              if $0.status == ErrorCode.unavailable.httpStatus { failed = $0.body }
              reply($0.body)
            }
          }
        case .failure(let error): self?.refuse(request, error.code, error.message)
        }
      }
      return
    }
    identifier.identify(request, over: nil) { [weak self, hub] result in
      switch result {
      case .success(let (user, identity)):
        let trace = request.head.trace
        // Decisions may come in another order.
        self?.perform(lines, of: request, isInTurn: hub.asksAboutOperations) { line, reply in
          let caller = RequestCaller(
            user: user, identity: identity, address: request.address, trace: trace
          ) { text, _ in reply(text) }
          hub.perform(line.span, by: caller)
        }
      case .failure(let error): self?.refuse(request, error.code, error.message)
      }
    }
  }

  private func perform(
    _ lines: [[UInt8]], of request: Request, isInTurn: Bool, _ performLine: @escaping SendBatch.Performer
  ) {
    let batch = SendBatch(
      lines, messageBytesMax: messageBytesMax, isInTurn: isInTurn, perform: performLine,
      done: { [respond] text in
        var response = Response(status: 200, contentType: NDJSON.contentType, body: text)
        response.forbidStoring()
        respond(request.connection, response)
      })
    batch.perform()
  }

  /// Answers with the error that a WebSocket would get.
  private func refuse(_ request: Request, _ code: ErrorCode, _ message: String) {
    send(status: code.httpStatus, ServerEvent.json(ofError: ProtocolError(code, message)), for: request)
  }

  private func send(status: Int, _ text: [UInt8], for request: Request) {
    respond(request.connection, SendEndpoint.response(status: status, text))
  }

  private static func response(status: Int, _ text: [UInt8]) -> Response {
    var response = Response.json(status: status, text)
    response.forbidStoring()
    return response
  }
}
