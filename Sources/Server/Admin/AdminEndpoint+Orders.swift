import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

// What operators order live connections and nodes to do.

extension AdminEndpoint {
  func disconnect(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      guard body.has("user") else { return disconnect(request, connection: try body.string("connection")) }
      let user = try body.user("user")
      hub.disconnect(user: user) { [self] result in finish(request, result, writeDisconnected) }
    }
  }

  private func disconnect(_ request: Request, connection name: [UInt8]) {
    broker.connection(named: name) { [self] result in
      switch result {
      case .success(nil): refuse(request, .notFound, "no such connection")
      case .failure: finish(request, result) { _, _ in }
      case .success:
        hub.disconnect(connection: name) { [self] result in finish(request, result.map { _ in 1 }, writeDisconnected) }
      }
    }
  }

  private func writeDisconnected(_ count: Int, _ writer: inout JSONWriter) {
    writer.key("disconnected")
    writer.integer(count)
  }

  // MARK: In and out of rooms

  /// Moves a user's connections, or one, into a room or out of it.
  func move(_ request: Request, _ body: AdminBody, _ direction: RoomMove.Direction) {
    attempt(request) { () throws(ProtocolError) in
      let room = try body.string("room")
      if let problem = RoomName.problem(room.span) { throw ProtocolError(.badRoom, problem) }
      guard body.has("user") else {
        return move(request, connection: try body.string("connection"), direction, room)
      }
      let user = try body.user("user")
      hub.move(RoomMove(user: user, connection: nil, direction, room: room)) { [self] result in
        finishMove(request, result, room)
      }
    }
  }

  private func move(
    _ request: Request, connection name: [UInt8], _ direction: RoomMove.Direction, _ room: [UInt8]
  ) {
    broker.connection(named: name) { [self] result in
      switch result {
      case .success(nil): refuse(request, .notFound, "no such connection")
      case .failure: finish(request, result) { _, _ in }
      case .success(let member?):
        hub.move(RoomMove(user: member.user, connection: name, direction, room: room)) { [self] result in
          finishMove(request, result.map { _ in 1 }, room)
        }
      }
    }
  }

  private func finishMove(_ request: Request, _ result: Result<Int, BrokerError>, _ room: [UInt8]) {
    finish(request, result) { count, writer in
      writer.key("room")
      writer.string(room)
      writer.key("connections")
      writer.integer(count)
    }
  }

  // MARK: Draining

  /// Begins the drain of a node of the cluster. This one needs no Redis for it.
  func drain(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      let own = hub.configuration.nodeID
      let name = body.has("node") ? try body.string("node") : own
      guard name != own else {
        finishDrain(request, .success(()), own)
        return hub.obeyDrain()
      }
      broker.nodes { [self] result in
        guard case .success(let nodes) = result else { return finish(request, result) { _, _ in } }
        guard nodes.contains(where: { $0.id == name }) else { return refuse(request, .notFound, "no such node") }
        hub.drain(node: name) { [self] result in finishDrain(request, result.map { _ in }, name) }
      }
    }
  }

  private func finishDrain(_ request: Request, _ result: Result<Void, BrokerError>, _ name: [UInt8]) {
    finish(request, result) { _, writer in
      writer.key("node")
      writer.string(name)
    }
  }
}
