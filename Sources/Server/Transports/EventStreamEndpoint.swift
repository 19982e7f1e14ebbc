import ClientProtocol
import HTTPCore
import Realtime

/// `GET /sse?room=R`: an event stream of one room. What forbids it is answered with a status before the stream begins: 401
/// and 403 end an EventSource for good. Confined to the loop that created it.
final class EventStreamEndpoint {
  private let hub: Hub
  private let table: ConnectionTable
  private let identifier: RequestIdentifier

  init(hub: Hub, table: ConnectionTable, identifier: RequestIdentifier) {
    self.hub = hub
    self.table = table
    self.identifier = identifier
  }

  func answer(_ request: Request) {
    guard request.head.method == .get else { return refuse(request, ErrorResponse.methodNotAllowed("GET")) }
    let rooms = request.head.query.all("room")
    let room = rooms.first ?? []
    guard rooms.count == 1, !RoomName.isWildcard(room.span) else {
      let message = "an event stream is of one room, by its name: /sse?room=NAME"
      return refuse(request, ErrorResponse.make(.badRequest, message))
    }
    identifier.identify(request.head) { [weak self] result in
      switch result {
      case .success(let (user, identity)): self?.open(request, room, user: user, identity)
      case .failure(let error): self?.refuse(request, ErrorResponse.make(error.code, error.message))
      }
    }
  }

  private func open(_ request: Request, _ room: [UInt8], user: [UInt8], _ identity: Identity?) {
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
