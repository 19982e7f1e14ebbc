import ClientProtocol
import HTTPCore
import Realtime

/// `GET /sse?room=R&room=…`: an event stream of rooms and wildcards, or of none. What forbids it is answered with a status
/// before the stream begins: 401 and 403 end an EventSource for good. Confined to the loop that created it.
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
    let asked = request.head.query.all("room")
    var seen: Set<[UInt8]> = []
    let rooms = asked.filter { seen.insert($0).inserted }
    let roomsMax = hub.configuration.roomsPerConnectionMax
    guard rooms.count <= roomsMax else {
      let message = "an event stream is of at most \(roomsMax) rooms (max-rooms): open another one for the others"
      return refuse(request, ErrorResponse.make(.tooManyRooms, message))
    }
    identifier.identify(request, over: .sse) { [weak self] result in
      switch result {
      case .success(let (user, identity)): self?.open(request, rooms, user: user, identity)
      case .failure(let error): self?.refuse(request, ErrorResponse.make(error.code, error.message))
      }
    }
  }

  private func open(_ request: Request, _ rooms: [[UInt8]], user: [UInt8], _ identity: Identity?) {
    hub.admit(to: rooms, user: user, by: identity) { [weak self] problem in
      if let problem {
        self?.refuse(request, ErrorResponse.make(problem.code, problem.message))
      } else {
        self?.begin(request, rooms, user: user, identity)
      }
    }
  }

  private func begin(_ request: Request, _ rooms: [[UInt8]], user: [UInt8], _ identity: Identity?) {
    var lastEventID = request.head.query.first("last-event-id")
    // The header is the browser's own and newer than the query, which the page wrote once.
    if let header = request.head.value(.lastEventID) { lastEventID = [UInt8](copying: header) }
    if lastEventID?.isEmpty == true { lastEventID = nil }
    table.openEventStream(
      request,
      EventStreamTransport.Opening(rooms: rooms, lastEventID: lastEventID, user: user, identity: identity))
  }

  private func refuse(_ request: Request, _ response: Response) { table.respond(request.connection, response) }
}
