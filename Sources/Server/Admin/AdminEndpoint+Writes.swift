import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

extension AdminEndpoint {
  func publish(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      try body.check(["room", "data", "user"])
      let room = try body.string("room")
      let user = try body.optionalString("user")
      let data = try body.object("data", bytesMax: messageBytesMax)
      let key = try AdminEndpoint.idempotencyKey(request.head)
      try hub.publish(room: room, data: data.span, user: user, idempotencyKey: key) { [self] result in
        finish(request, result) { position, writer in
          var epoch: [UInt8] = []
          position.epoch.append(to: &epoch)
          writer.key("room")
          writer.string(room)
          writer.key("epoch")
          writer.string(epoch)
          writer.key("offset")
          writer.unsigned(position.offset)
        }
      }
    }
  }

  func broadcast(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      try body.check(["data", "user"])
      let user = try body.optionalString("user")
      let data = try body.object("data", bytesMax: messageBytesMax)
      let key = try AdminEndpoint.idempotencyKey(request.head)
      try hub.send(data: data.span, user: user, to: .everyone, idempotencyKey: key) { [self] result in
        finish(request, result) { _, writer in
          writer.key("ok")
          writer.bool(true)
        }
      }
    }
  }

  func direct(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      try body.check(["to", "data", "user"])
      let user = try body.optionalString("user")
      let receiver = try body.user("to")
      let data = try body.object("data", bytesMax: messageBytesMax)
      let key = try AdminEndpoint.idempotencyKey(request.head)
      try hub.send(data: data.span, user: user, to: .user(receiver), idempotencyKey: key) { [self] result in
        finish(request, result, writeDelivered)
      }
    }
  }

  func disconnect(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      try body.check(["user", "connection"])
      if body.has("user"), body.has("connection") {
        throw ProtocolError(.badRequest, "the body needs user or connection, not both")
      } else if body.has("user") {
        let user = try body.user("user")
        hub.disconnect(user: user) { [self] result in finish(request, result, writeDisconnected) }
      } else if body.has("connection") {
        let name = try body.string("connection")
        disconnect(request, connection: name)
      } else {
        throw ProtocolError(.badRequest, "the body needs user or connection, a string")
      }
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

  private func writeDelivered(_ count: Int, _ writer: inout JSONWriter) {
    writer.key("delivered")
    writer.integer(count)
  }

  private func writeDisconnected(_ count: Int, _ writer: inout JSONWriter) {
    writer.key("disconnected")
    writer.integer(count)
  }

  func attempt(_ request: Request, _ body: () throws(ProtocolError) -> Void) {
    do {
      try body()
    } catch {
      refuse(request, error)
    }
  }

  /// Longer keys than this are refused: they stand in Redis for minutes.
  private static let idempotencyKeyBytesMax = 255

  private static func idempotencyKey(_ head: RequestHead) throws(ProtocolError) -> [UInt8]? {
    guard let value = head.value(.idempotencyKey) else { return nil }
    guard (1...idempotencyKeyBytesMax).contains(value.count) else {
      throw ProtocolError(.badRequest, "Idempotency-Key has 1 to \(idempotencyKeyBytesMax) bytes")
    }
    return [UInt8](copying: value)
  }
}
