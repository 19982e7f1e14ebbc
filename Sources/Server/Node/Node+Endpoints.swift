import LoopCore
import Realtime
import SocketIOCore

// What answers the paths of clients without a WebSocket.

extension Node {
  /// Registers the actions that clients may request beyond the hub's own.
  func registerActions() {
    let servers = IceServers(settings)
    hub.actions.register(builtIn: "ice") { request, reply in
      reply(.success(payload: servers.answer(for: request.user, now: Clock.wallMilliseconds() / 1000)))
    }
  }

  func makeEventStreamEndpoint() -> EventStreamEndpoint {
    EventStreamEndpoint(hub: hub, table: table, identifier: makeRequestIdentifier())
  }

  func makePollEndpoint(_ forwarder: ConnectionForwarder) -> PollEndpoint {
    let identifier = makeRequestIdentifier()
    return PollEndpoint(
      hub: hub, polls: table.polls, forwarder: forwarder, identifier: identifier,
      rooms: RoomPollEndpoint(hub: hub, table: table, identifier: identifier, metrics: metrics),
      respond: { [weak table] in table?.respond($0, $1) })
  }

  func makeSendEndpoint(_ forwarder: ConnectionForwarder) -> SendEndpoint {
    SendEndpoint(
      hub: hub, forwarder: forwarder, identifier: makeRequestIdentifier(), messageBytesMax: settings.maxMessageBytes,
      respond: { [weak table] in table?.respond($0, $1) })
  }

  /// Bytes of a client bundle: ten times the official one.
  private static let clientBytesMax = 4 * 1024 * 1024

  func loadSocketIOClient() throws(Failure) {
    guard let path = settings.socketIOClientPath else { return }
    do throws(SystemError) { socketIOClient = try WholeFile.read(path, bytesMax: Node.clientBytesMax) } catch {
      throw .client(path: path, error)
    }
  }

  func makeSocketIOEndpoint(_ forwarder: ConnectionForwarder) -> SocketIOEndpoint {
    var configuration = SocketIOConfiguration()
    configuration.namespaces =
      settings.echo
      ? .conformance : NamespaceList(patterns: settings.socketIONamespaces.map { Array($0.utf8) })
    configuration.believesNames = settings.authentication == .none
    configuration.needsToken = settings.authentication == .jwt
    configuration.userName = { [weak self] in self?.userName(asked: $0) }
    table.connects.configuration = configuration
    table.connects.transport.hasRecovery = settings.socketIORecovery
    return SocketIOEndpoint(hub: hub, table: table, forwarder: forwarder) { [weak self] in
      self?.connectHeaders($0) ?? []
    }
  }

  func makeIncomingHookEndpoint() -> IncomingHookEndpoint {
    IncomingHookEndpoint(
      settings, hub: hub, metrics: metrics, log: log, now: { [loop] in loop.instant },
      respond: { [weak table] in table?.respond($0, $1) })
  }

  private func makeRequestIdentifier() -> RequestIdentifier {
    RequestIdentifier(
      hub: hub, mode: settings.authentication, userName: { [weak self] in self?.userName(asked: $0) },
      headers: { [weak self] in self?.connectHeaders($0) ?? [] })
  }
}
