import ClientProtocol
import JSONCore

/// Requests of clients: an action by name, a payload, one response. Actions are registered; three are built in.
/// Confined to the loop that created its hub.
final class ClientRequests {
  private let context: HubContext
  private let wildcards: WildcardTable
  private let backPressure: BackPressure
  /// The actions that clients may request.
  var actions = ActionHandlers()

  init(_ context: HubContext, wildcards: WildcardTable, backPressure: BackPressure) {
    self.context = context
    self.wildcards = wildcards
    self.backPressure = backPressure
    registerBuiltInActions()
  }

  /// Registers what every node answers: its time, who asks, and the rooms of the connection.
  private func registerBuiltInActions() {
    actions.register(builtIn: "time") { [clock = context.clock] _, reply in
      reply(
        ClientRequests.object { writer in
          writer.key("ts")
          writer.unsigned(clock())
        })
    }
    actions.register(builtIn: "whoami") { [configuration = context.configuration] request, reply in
      reply(
        ClientRequests.object { writer in
          writer.key("user")
          writer.string(request.user)
          if let connection = request.connection {
            writer.key("connection")
            writer.string(connection)
          }
          writer.key("node")
          writer.string(configuration.nodeID)
          if let info = request.info {
            writer.key("info")
            writer.raw(info)
          }
        })
    }
    actions.register(builtIn: "rooms") { request, reply in
      reply(
        ClientRequests.object { writer in
          writer.key("rooms")
          writer.beginArray()
          for room in request.roomsJSON { writer.raw(room) }
          writer.endArray()
        })
    }
  }

  private static func object(_ write: (inout JSONWriter) -> Void) -> ActionOutcome {
    var writer = JSONWriter()
    writer.beginObject()
    write(&writer)
    writer.endObject()
    return .success(payload: writer.finish())
  }

  func request(_ operation: ClientOperation, _ text: Span<UInt8>, from caller: Caller) {
    guard let action = operation.action?.decoded(in: text), let user = context.userName(of: caller) else { return }
    let answerID = operation.answerID(in: text)
    let payload = operation.payload.map { [UInt8](copying: text.extracting($0)) }
    var (connection, rooms): ([UInt8]?, [[UInt8]]) = (nil, [])
    if case .session(let id) = caller {
      (connection, rooms) = (context.connectionName(id), joinedRoomsJSON(of: id.index))
    }
    let request = ActionRequest(
      action: action, payload: payload, user: user, info: context.identity(of: caller)?.info, connection: connection,
      owner: context.owner(of: caller), trace: operation.trace, roomsJSON: rooms)
    let size = action.count + (payload?.count ?? 0)
    if case .session(let id) = caller { backPressure.waitBegins(id, bytes: size) }
    actions.handle(request) { [weak self] response in
      switch caller {
      case .session(let id):
        self?.backPressure.waitEnds(id, bytes: size)
        self?.context.answer(id, .response(response), id: answerID)
      case .request(let request): request.answer(.response(response), id: answerID)
      case .backend: break
      }
    }
  }

  private func joinedRoomsJSON(of session: UInt32) -> [[UInt8]] {
    let joined = context.sessions[session].subscriptions.filter(\.isJoined).map(\.room.nameJSON)
    return joined + wildcards.memberships(of: session).filter { $0.place != nil }.map(\.wildcard.nameJSON)
  }
}
