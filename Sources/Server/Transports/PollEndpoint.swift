import ClientProtocol
import HTTPCore
import JSONCore
import Realtime
import Settings

/// `/poll`: messages by requests. With `connection` the client has a connection, which any node serves; without it each
/// request stands by itself (`RoomPollEndpoint`). Confined to the loop that created it.
final class PollEndpoint {
  private let hub: Hub
  private let polls: PollTransport
  private let forwarder: ConnectionForwarder
  private let identifier: RequestIdentifier
  private let rooms: RoomPollEndpoint
  private let respond: (SlabID, Response) -> Void

  init(
    hub: Hub, polls: PollTransport, forwarder: ConnectionForwarder, identifier: RequestIdentifier,
    rooms: RoomPollEndpoint, respond: @escaping (SlabID, Response) -> Void
  ) {
    self.hub = hub
    self.polls = polls
    self.forwarder = forwarder
    self.identifier = identifier
    self.rooms = rooms
    self.respond = respond
  }

  /// Whether a request opens a connection.
  static func opens(_ head: RequestHead) -> Bool {
    head.method == .get && head.query.first("connection")?.elementsEqual("new".utf8) == true
  }

  func answer(_ request: Request) {
    guard request.head.method == .get || request.head.method == .delete else {
      return respond(request.connection, ErrorResponse.methodNotAllowed("GET, DELETE"))
    }
    guard let connection = request.head.query.first("connection") else { return rooms.answer(request) }
    if PollEndpoint.opens(request.head) { return open(request) }
    let kind: ConnectionQuestion.Kind
    do throws(ProtocolError) {
      kind = request.head.method == .delete ? .end : try PollEndpoint.poll(request.head.query)
    } catch {
      return refuse(request, error.code, error.message)
    }
    identifier.identifyOwner(request) { [weak self] result in
      switch result {
      case .success(let owner):
        self?.forwarder.perform(ConnectionQuestion(kind, of: connection, by: owner)) { self?.send($0, for: request) }
      case .failure(let error): self?.refuse(request, error.code, error.message)
      }
    }
  }

  private static func poll(_ query: Query) throws(ProtocolError) -> ConnectionQuestion.Kind {
    guard let text = query.first("seq"), let seq = JSONNumber.unsigned(text.span) else {
      throw ProtocolError(.badRequest, "seq is missing, or no number: it is that of the last answer")
    }
    return .poll(seq: seq, waitMilliseconds: try wait(query))
  }

  /// How long a poll may wait, in milliseconds.
  static func wait(_ query: Query) throws(ProtocolError) -> Int {
    guard let text = query.first("wait") else { return RoomPollEndpoint.waitDefault }
    guard let wait = Quantity.milliseconds(text),
      (0...RoomPollEndpoint.waitMax).contains(wait)
    else {
      let max = Quantity.text(milliseconds: RoomPollEndpoint.waitMax)
      throw ProtocolError(.badRequest, "wait must be a duration of at most \(max), such as 25s; 0 answers at once")
    }
    return wait
  }

  // MARK: Opening

  private func open(_ request: Request) {
    let rooms: [(name: [UInt8], since: Position?)]
    do throws(ProtocolError) { rooms = try PollEndpoint.rooms(request.head.query) } catch {
      return refuse(request, error.code, error.message)
    }
    identifier.identify(request, over: .poll) { [weak self] result in
      guard let self else { return }
      switch result {
      case .success(let (user, identity)):
        hub.admit(to: rooms.map(\.name), user: user, by: identity) { [weak self] problem in
          guard let self else { return }
          if let problem { return refuse(request, problem.code, problem.message) }
          polls.open(PollTransport.Opening(rooms: rooms, user: user, identity: identity, address: request.address)) {
            [weak self] in self?.send($0, for: request)
          }
        }
      case .failure(let error): refuse(request, error.code, error.message)
      }
    }
  }

  /// The rooms to join. A `since` belongs to the room before it.
  static func rooms(_ query: Query) throws(ProtocolError) -> [(name: [UInt8], since: Position?)] {
    var rooms: [(name: [UInt8], since: Position?)] = []
    for item in query.items {
      if item.name == Array("room".utf8) {
        rooms.append((item.value, nil))
      } else if item.name == Array("since".utf8) {
        guard let last = rooms.indices.last, rooms[last].since == nil else {
          throw ProtocolError(.badRequest, "a since belongs to the room before it: room=ROOM&since=EPOCH:OFFSET")
        }
        rooms[last].since = try position(item.value)
      }
    }
    return rooms
  }

  /// Reads the value of `since`.
  static func position(_ text: [UInt8]) throws(ProtocolError) -> Position {
    guard let position = Position(text: text.span) else {
      throw ProtocolError(.badRequest, "since must be EPOCH:OFFSET: \(Position.rule)")
    }
    return position
  }

  // MARK: Answers

  private func send(_ answer: ConnectionAnswer, for request: Request) {
    guard answer.status != 204 else { return respond(request.connection, Response(status: 204)) }
    var response = Response.json(status: answer.status, answer.body)
    response.forbidStoring()
    // Too many connections, of an address or of a user: one of them must end first.
    if answer.status == ErrorCode.rateLimited.httpStatus {
      response.addHeader("Retry-After", PeerGuard.connectionRetrySeconds)
    }
    respond(request.connection, response)
  }

  private func refuse(_ request: Request, _ code: ErrorCode, _ message: String) {
    send(ConnectionAnswer(code, message), for: request)
  }
}
