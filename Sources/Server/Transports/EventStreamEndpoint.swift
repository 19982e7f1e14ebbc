import ClientProtocol
import HTTPCore
import Realtime

/// `GET /sse?room=R`: an event stream of one room. What forbids it is answered with a status before the stream begins: 401
/// and 403 end an EventSource for good. Confined to the loop that created it.
final class EventStreamEndpoint {
  private let hub: Hub
  private let table: ConnectionTable
  private let believesNames: Bool
  private let userName: (_ asked: [UInt8]?) -> [UInt8]?

  /// - Parameters:
  ///   - believesNames: whether names are believed; else a token is needed.
  ///   - userName: the user for the name that a request asks for, or for none; nil: the name is not valid.
  init(hub: Hub, table: ConnectionTable, believesNames: Bool, userName: @escaping ([UInt8]?) -> [UInt8]?) {
    self.hub = hub
    self.table = table
    self.believesNames = believesNames
    self.userName = userName
  }

  func answer(_ request: Request) {
    guard request.head.method == .get else { return refuse(request, ErrorResponse.methodNotAllowed("GET")) }
    let rooms = request.head.query.all("room")
    let room = rooms.first ?? []
    guard rooms.count == 1, !RoomName.isWildcard(room.span) else {
      let message = "an event stream is of one room, by its name: /sse?room=NAME"
      return refuse(request, ErrorResponse.make(.badRequest, message))
    }
    guard believesNames else { return judge(request, room) }
    guard let user = userName(request.head.query.first("user")) else {
      return refuse(request, ErrorResponse.make(.badRequest, "user must be \(UserName.rule)"))
    }
    if let refusal = hub.refusal(ofUser: user) {
      return refuse(request, ErrorResponse.make(.unauthenticated, refusal))
    }
    open(request, room, user: user, nil)
  }

  private func judge(_ request: Request, _ room: [UInt8]) {
    guard let token = UserToken.find(in: request.head) else {
      let message = "a token is needed: ?token=, Authorization: Bearer or a cookie"
      return refuse(request, ErrorResponse.make(.unauthenticated, message))
    }
    hub.judge(token) { [weak self] verdict in
      switch verdict {
      case .accepted(let identity): self?.open(request, room, user: nil, identity)
      case .refused(let reason): self?.refuse(request, ErrorResponse.make(.unauthenticated, reason))
      case .unavailable(let reason): self?.refuse(request, ErrorResponse.make(.unavailable, reason))
      }
    }
  }

  private func open(_ request: Request, _ room: [UInt8], user: [UInt8]?, _ identity: Identity?) {
    if let problem = hub.refusal(ofJoining: room, by: identity) {
      return refuse(request, ErrorResponse.make(problem.code, problem.message))
    }
    var lastEventID = request.head.query.first("last-event-id")
    // The header is the browser's own and newer than the query, which the page wrote once.
    if let header = request.head.value(.lastEventID) { lastEventID = [UInt8](copying: header) }
    table.openEventStream(
      request,
      EventStreamTransport.Opening(room: room, lastEventID: lastEventID, user: user, identity: identity))
  }

  private func refuse(_ request: Request, _ response: Response) { table.respond(request.connection, response) }
}
