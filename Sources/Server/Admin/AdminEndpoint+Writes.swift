import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

// What backends publish, each alone as a request or as a line of a batch.

extension AdminEndpoint {
  /// Rooms that one message may be published in at once.
  static let publishRoomsMax = 1000
  /// Longer keys than this are refused: they stand in Redis for minutes.
  static let idempotencyKeyBytesMax = 255

  func publish(_ request: Request, _ body: AdminBody) { perform(request) { publish(body, key: $0, trace: $1, $2) } }

  func broadcast(_ request: Request, _ body: AdminBody) { perform(request) { broadcast(body, key: $0, trace: $1, $2) } }

  func direct(_ request: Request, _ body: AdminBody) { perform(request) { direct(body, key: $0, trace: $1, $2) } }

  /// Performs one operation with the request's Idempotency-Key and trace, and answers with its outcome.
  private func perform(
    _ request: Request, _ operation: (_ key: [UInt8]?, TraceContext?, _ done: @escaping AdminReply) -> Void
  ) {
    attempt(request) { () throws(ProtocolError) in
      operation(try AdminEndpoint.idempotencyKey(request.head), request.head.trace) { [self] in finish(request, $0) }
    }
  }

  func attempt(_ request: Request, _ body: () throws(ProtocolError) -> Void) {
    do {
      try body()
    } catch {
      refuse(request, error)
    }
  }

  private static func idempotencyKey(_ head: RequestHead) throws(ProtocolError) -> [UInt8]? {
    guard let value = head.value(.idempotencyKey) else { return nil }
    let key = [UInt8](copying: value)
    guard (1...idempotencyKeyBytesMax).contains(key.count), key.allSatisfy({ (0x20...0x7E).contains($0) }) else {
      throw ProtocolError(
        .badRequest, "Idempotency-Key has 1 to \(idempotencyKeyBytesMax) characters of ASCII, no control characters")
    }
    return key
  }
}

// MARK: Operations

extension AdminEndpoint {
  /// Publishes in one room, or in each of several.
  ///
  /// - Parameters:
  ///   - body: checked against the description of the path.
  ///   - trace: that of the request; the body's own one counts more.
  ///   - done: called once, at once or later.
  func publish(_ body: AdminBody, key: [UInt8]?, trace: TraceContext?, _ done: @escaping AdminReply) {
    attempt(done) { () throws(ProtocolError) in
      let user = try body.optionalString("user")
      let data = try body.object("data", bytesMax: messageBytesMax)
      let message = try hub.backendMessage(data: data.span, user: user, idempotencyKey: key, trace: body.trace ?? trace)
      if body.has("rooms") {
        let rooms = try body.strings("rooms", countMax: AdminEndpoint.publishRoomsMax)
        return publish(message, in: rooms, done)
      }
      let room = try body.string("room")
      try hub.publish(message, in: room) { [self] in done(outcome($0) { write($0, of: room, to: &$1) }) }
    }
  }

  private func publish(
    _ message: BackendMessage, in rooms: [[UInt8]], _ done: @escaping (AdminOutcome) -> Void
  ) {
    var outcomes = [AdminOutcome?](repeating: nil, count: rooms.count)
    PacedRun.start(
      count: rooms.count, after: hub.after, byteCount: { _ in message.byteCount },
      step: { [self] index, finished in
        let room = rooms[index]
        attempt({
          outcomes[index] = $0
          finished()
        }) { () throws(ProtocolError) in
          try hub.publish(message, in: room) { [self] in
            outcomes[index] = outcome($0) { write($0, of: room, to: &$1) }
            finished()
          }
        }
        return false
      }, done: { done(AdminEndpoint.results(rooms, outcomes)) })
  }

  /// One result for each room; what hinders all of them is the answer's own error.
  private static func results(_ rooms: [[UInt8]], _ outcomes: [AdminOutcome?]) -> AdminOutcome {
    if case .failure(let error) = outcomes.first ?? nil, error.code == .unavailable,
      outcomes.allSatisfy({ if case .failure(let other) = $0 { other.code == .unavailable } else { false } })
    {
      return .failure(error)
    }
    var writer = JSONWriter(capacity: 80 * rooms.count)
    writer.key("results")
    writer.beginArray()
    for (room, outcome) in zip(rooms, outcomes) {
      writer.beginObject()
      switch outcome {
      case .success(let members): writer.raw(members)
      case .failure(let error):
        writer.key("room")
        writer.string(room)
        writer.error(error.code, error.message)
      case nil: break
      }
      writer.endObject()
    }
    writer.endArray()
    return .success(writer.finish())
  }

  private func write(_ position: Position, of room: [UInt8], to writer: inout JSONWriter) {
    var epoch: [UInt8] = []
    position.epoch.append(to: &epoch)
    writer.key("room")
    writer.string(room)
    writer.key("epoch")
    writer.string(epoch)
    writer.key("offset")
    writer.unsigned(position.offset)
  }

  /// Sends to everyone. The parameters are those of `publish`.
  func broadcast(_ body: AdminBody, key: [UInt8]?, trace: TraceContext?, _ done: @escaping AdminReply) {
    attempt(done) { () throws(ProtocolError) in
      let user = try body.optionalString("user")
      let data = try body.object("data", bytesMax: messageBytesMax)
      try hub.send(data: data.span, user: user, to: .everyone, idempotencyKey: key, trace: body.trace ?? trace) {
        [self] result in
        done(
          outcome(result) { _, writer in
            writer.key("ok")
            writer.bool(true)
          })
      }
    }
  }

  /// Sends to one user. The parameters are those of `publish`.
  func direct(_ body: AdminBody, key: [UInt8]?, trace: TraceContext?, _ done: @escaping AdminReply) {
    attempt(done) { () throws(ProtocolError) in
      let user = try body.optionalString("user")
      let receiver = try body.user("to")
      let data = try body.object("data", bytesMax: messageBytesMax)
      try hub.send(data: data.span, user: user, to: .user(receiver), idempotencyKey: key, trace: body.trace ?? trace) {
        [self] result in
        done(
          outcome(result) { count, writer in
            writer.key("delivered")
            writer.integer(count)
          })
      }
    }
  }

  private func attempt(_ done: (AdminOutcome) -> Void, _ body: () throws(ProtocolError) -> Void) {
    do {
      try body()
    } catch {
      done(.failure(error))
    }
  }
}
