import LoopCore
import Realtime

// What answers the paths of clients without a WebSocket.

extension Node {
  /// Registers the actions that clients may request beyond the hub's own.
  func registerActions() {
    let servers = IceServers(settings)
    hub.actions.register("ice") { request, reply in
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
