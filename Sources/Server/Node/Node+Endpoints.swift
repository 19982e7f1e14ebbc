import Realtime

// What answers the paths of clients without a WebSocket.

extension Node {
  func makeEventStreamEndpoint() -> EventStreamEndpoint {
    EventStreamEndpoint(
      hub: hub, table: table, believesNames: settings.authentication != .jwt,
      userName: { [weak self] in self?.userName(asked: $0) })
  }

  func makeSendEndpoint() -> SendEndpoint {
    SendEndpoint(
      hub: hub, messageBytesMax: settings.maxMessageBytes, believesNames: settings.authentication != .jwt,
      userName: { [weak self] in self?.userName(asked: $0) },
      respond: { [weak table] in table?.respond($0, $1) })
  }
}
