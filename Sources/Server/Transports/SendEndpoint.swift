import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// `POST /send`: one client operation for those without a connection. The body is the JSON that a WebSocket would carry, the
/// answer the JSON that it would get; an error has the matching status. Confined to the loop that created it.
final class SendEndpoint {
  private let hub: Hub
  private let messageBytesMax: Int
  /// Whether names are believed; else a token is needed.
  private let believesNames: Bool
  private let userName: (_ asked: [UInt8]?) -> [UInt8]?
  private let respond: (SlabID, Response) -> Void

  /// - Parameter userName: the user for the name that a request asks for, or for none; nil: the name is not valid.
  init(
    hub: Hub, messageBytesMax: Int, believesNames: Bool, userName: @escaping ([UInt8]?) -> [UInt8]?,
    respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.messageBytesMax = messageBytesMax
    self.believesNames = believesNames
    self.userName = userName
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
    guard believesNames else { return judge(request) }
    guard let user = userName(request.head.query.first("user")) else {
      return refuse(request, .badRequest, "user must be \(UserName.rule)")
    }
    if let refusal = hub.refusal(ofUser: user) { return refuse(request, .unauthenticated, refusal) }
    perform(request, user: user, nil)
  }

  private func judge(_ request: Request) {
    guard let token = UserToken.find(in: request.head) else {
      return refuse(request, .unauthenticated, "a token is needed: Authorization: Bearer, ?token= or a cookie")
    }
    hub.judge(token) { [weak self] verdict in
      switch verdict {
      case .accepted(let identity): self?.perform(request, user: identity.user, identity)
      case .refused(let reason): self?.refuse(request, .unauthenticated, reason)
      case .unavailable(let reason): self?.refuse(request, .unavailable, reason)
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
