import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// `POST /send`: one client operation for those without a connection. The body is the JSON that a WebSocket would carry, the
/// answer the JSON that it would get; an error has the matching status. Confined to the loop that created it.
final class SendEndpoint {
  private let hub: Hub
  private let identifier: RequestIdentifier
  private let messageBytesMax: Int
  private let respond: (SlabID, Response) -> Void

  init(
    hub: Hub, identifier: RequestIdentifier, messageBytesMax: Int, respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.identifier = identifier
    self.messageBytesMax = messageBytesMax
    self.respond = respond
  }

  /// The largest body in bytes: one that is just too large is answered with what is allowed.
  var bodyBytesMax: Int { messageBytesMax + 1024 }

  func answer(_ request: Request) {
    guard request.head.method == .post else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("POST"))
    }
    guard request.body.count <= messageBytesMax else {
      let message = "the operation has \(request.body.count) bytes; --max-message allows \(messageBytesMax)"
      return refuse(request, .tooLarge, message)
    }
    guard JSONScanner.isValidUTF8(request.body.span) else {
      return refuse(request, .badRequest, "the body is not valid UTF-8")
    }
    identifier.identify(request.head) { [weak self] result in
      switch result {
      case .success(let (user, identity)): self?.perform(request, user: user, identity)
      case .failure(let error): self?.refuse(request, error.code, error.message)
      }
    }
  }

  private func perform(_ request: Request, user: [UInt8], _ identity: Identity?) {
    let caller = RequestCaller(
      user: user, identity: identity, address: request.address
    ) { [respond] text, code in
      var response = Response.json(status: code?.httpStatus ?? 200, text)
      response.forbidStoring()
      respond(request.connection, response)
    }
    let body = request.body
    hub.perform(body.span, by: caller)
  }

  /// Answers with the error that a WebSocket would get.
  private func refuse(_ request: Request, _ code: ErrorCode, _ message: String) {
    var text: [UInt8] = []
    ServerEvent.error(code, message).appendJSON(to: &text)
    var response = Response.json(status: code.httpStatus, text)
    response.forbidStoring()
    respond(request.connection, response)
  }
}
