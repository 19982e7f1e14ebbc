import ClientProtocol
import HTTPCore
import Realtime

/// Finds out in whose name a request without a WebSocket is made: by its token, or by its `user` where names are believed.
/// Confined to the loop that created it.
final class RequestIdentifier {
  private let hub: Hub
  /// Whether names are believed; else a token is needed.
  private let believesNames: Bool
  private let userName: (_ asked: [UInt8]?) -> [UInt8]?

  /// - Parameters:
  ///   - believesNames: whether names are believed; else a token is needed.
  ///   - userName: the user for the name that a request asks for, or for none; nil: the name is not valid.
  init(hub: Hub, believesNames: Bool, userName: @escaping ([UInt8]?) -> [UInt8]?) {
    self.hub = hub
    self.believesNames = believesNames
    self.userName = userName
  }

  /// Answers once, at once or when the token was judged: with the user and what its token says, or why there is none.
  func identify(_ head: RequestHead, _ reply: @escaping (Result<(user: [UInt8], Identity?), ProtocolError>) -> Void) {
    guard believesNames else { return judge(head, reply) }
    guard let user = userName(head.query.first("user")) else {
      return reply(.failure(ProtocolError(.badRequest, "user must be \(UserName.rule)")))
    }
    if let refusal = hub.refusal(ofUser: user) {
      return reply(.failure(ProtocolError(.unauthenticated, refusal)))
    }
    reply(.success((user, nil)))
  }

  /// The same for a request about a connection: whose it must be. Nil where names are believed and the request has none.
  func identifyOwner(_ head: RequestHead, _ reply: @escaping (Result<[UInt8]?, ProtocolError>) -> Void) {
    if believesNames, head.query.first("user")?.isEmpty != false { return reply(.success(nil)) }
    identify(head) { result in reply(result.map { $0.user }) }
  }

  private func judge(
    _ head: RequestHead, _ reply: @escaping (Result<(user: [UInt8], Identity?), ProtocolError>) -> Void
  ) {
    guard let token = UserToken.find(in: head) else {
      let message = "a token is needed: Authorization: Bearer, ?token= or a cookie"
      return reply(.failure(ProtocolError(.unauthenticated, message)))
    }
    hub.judge(token) { verdict in
      switch verdict {
      case .accepted(let identity): reply(.success((identity.user, identity)))
      case .refused(let reason): reply(.failure(ProtocolError(.unauthenticated, reason)))
      case .unavailable(let reason): reply(.failure(ProtocolError(.unavailable, reason)))
      }
    }
  }
}
