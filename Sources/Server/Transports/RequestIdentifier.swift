import ClientProtocol
import HTTPCore
import Realtime
import Settings

/// Finds out in whose name a request without a WebSocket is made: by its token, or by its `user` where names are believed;
/// and, where that is asked for, by what the backend decides. Confined to the loop that created it.
final class RequestIdentifier {
  /// The user, and what its token or the backend says of it.
  typealias Reply = (Result<(user: [UInt8], Identity?), ProtocolError>) -> Void

  private let hub: Hub
  private let mode: AuthenticationMode
  private let userName: (_ asked: [UInt8]?) -> [UInt8]?
  private let headers: (RequestHead) -> [HeaderLine]

  /// - Parameters:
  ///   - userName: the user for the name that a request asks for, or for none; nil: the name is not valid.
  init(
    hub: Hub, mode: AuthenticationMode, userName: @escaping ([UInt8]?) -> [UInt8]?,
    headers: @escaping (RequestHead) -> [HeaderLine]
  ) {
    self.hub = hub
    self.mode = mode
    self.userName = userName
    self.headers = headers
  }

  /// Answers once, at once or when the token was judged and the backend has decided: with the user and what is known of it,
  /// or why there is none.
  ///
  /// - Parameter transport: of the connection that the request opens; nil: it opens none.
  func identify(_ request: Request, over transport: Transport?, _ reply: @escaping Reply) {
    switch mode {
    case .none:
      guard let user = userName(request.head.query.first("user")) else {
        return reply(.failure(ProtocolError(.badRequest, "user must be \(UserName.rule)")))
      }
      if let refusal = hub.refusal(ofUser: user) {
        return reply(.failure(ProtocolError(.unauthenticated, refusal)))
      }
      guard hub.asksAboutConnects else { return reply(.success((user, nil))) }
      decide(request, over: transport, .believed(user), reply)
    case .jwt:
      judge(request) { [weak self] verdict in
        guard let self, hub.asksAboutConnects, case .accepted(let identity) = verdict else {
          return RequestIdentifier.answer(verdict, reply)
        }
        decide(request, over: transport, identity, reply)
      }
    case .webhook: decide(request, over: transport, nil, token: UserToken.find(in: request.head), reply)
    }
  }

  /// The same for a request about a connection: whose it must be. Nil where names are believed and the request has none. The
  /// backend is asked only where nothing else tells the user: it has decided on the connection when that was opened.
  func identifyOwner(_ request: Request, _ reply: @escaping (Result<ConnectionOwner?, ProtocolError>) -> Void) {
    switch mode {
    case .none where request.head.query.first("user")?.isEmpty != false: reply(.success(nil))
    case .none: identify(request, over: nil) { result in reply(result.map { ConnectionOwner(user: $0.0) }) }
    case .webhook: identify(request, over: nil) { result in reply(result.map { ConnectionOwner(user: $0.0, $0.1) }) }
    case .jwt:
      judge(request) { verdict in
        RequestIdentifier.answer(verdict) { result in reply(result.map { ConnectionOwner(user: $0.0, $0.1) }) }
      }
    }
  }

  private func judge(_ request: Request, _ conclude: @escaping (TokenVerdict) -> Void) {
    guard let token = UserToken.find(in: request.head) else {
      return conclude(.refused(reason: "a token is needed: Authorization: Bearer, ?token= or a cookie"))
    }
    hub.judge(token, conclude)
  }

  private func decide(
    _ request: Request, over transport: Transport?, _ identity: Identity?, token: [UInt8]? = nil,
    _ reply: @escaping Reply
  ) {
    let question = ConnectQuestion(
      transport: transport, address: request.address, identity: identity, token: token,
      headers: headers(request.head))
    hub.decideConnect(question) { RequestIdentifier.answer($0, reply) }
  }

  private static func answer(_ verdict: TokenVerdict, _ reply: Reply) {
    switch verdict {
    case .accepted(let identity): reply(.success((identity.user, identity)))
    case .refused(let reason): reply(.failure(ProtocolError(.unauthenticated, reason)))
    case .unavailable(let reason): reply(.failure(ProtocolError(.unavailable, reason)))
    }
  }
}
