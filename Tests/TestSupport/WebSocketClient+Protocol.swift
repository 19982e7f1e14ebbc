import JSONCore

// The protocol as a client speaks it.

extension WebSocketClient {
  /// Takes the next JSON text of a type.
  @discardableResult
  package func expect(
    _ type: String, within seconds: Double = 10, where fits: (Received) -> Bool = { _ in true }
  ) throws -> Received {
    let event = try take("a text of type \(type)", within: seconds) { event in
      guard case .text(let text) = event, let received = try? Received(text) else { return false }
      return received.type == type && fits(received)
    }
    guard case .text(let text) = event else { throw TestFailure("no text: \(event)") }
    return try Received(text)
  }

  /// Takes the next binary message.
  package func expectBinary(within seconds: Double = 10) throws -> [UInt8] {
    let event = try take("a binary message", within: seconds) { if case .binary = $0 { true } else { false } }
    guard case .binary(let bytes) = event else { throw TestFailure("no binary: \(event)") }
    return bytes
  }

  /// Waits for a close frame, answers it, and waits for the end of the connection. Returns the code.
  @discardableResult
  package func expectClose(within seconds: Double = 10) throws -> UInt16? {
    let event = try take("a close frame", within: seconds) { if case .close = $0 { true } else { false } }
    guard case .close(let code, _) = event else { throw TestFailure("no close frame: \(event)") }
    try? sendClose(code ?? 1000)
    try expectEnd(within: seconds)
    return code
  }

  /// Waits for the end of the connection.
  package func expectEnd(within seconds: Double = 10) throws {
    _ = try take("the end of the connection", within: seconds) { $0 == .end }
  }

  /// Sends an operation with an `id` of its own and returns the answer: what carries that `id`.
  ///
  /// - Parameter members: the members of the operation, without braces and `id`.
  @discardableResult
  package func ask(_ members: String, within seconds: Double = 10) throws -> Received {
    let id = nextOperationID()
    try send("{\(members),\"id\":\"\(id)\"}")
    let event = try take("the answer to {\(members)}", within: seconds) { event in
      guard case .text(let text) = event, let received = try? Received(text) else { return false }
      return received.string("id") == id
    }
    guard case .text(let text) = event else { throw TestFailure("no text: \(event)") }
    return try Received(text)
  }

  /// Joins a room and returns the `joined`.
  @discardableResult
  package func join(_ room: String, since: String? = nil) throws -> Received {
    let answer = try ask(#""type":"join","room":"\#(room)""# + (since.map { #","since":\#($0)"# } ?? ""))
    guard answer.type == "joined" else { throw TestFailure("not joined: \(answer)") }
    return answer
  }

  /// Sends a message to a room and returns its offset.
  @discardableResult
  package func publish(_ room: String, _ members: String) throws -> Int {
    let answer = try ask(#""type":"message","room":"\#(room)",\#(members)"#)
    guard answer.type == "ack", let offset = answer.int("offset") else { throw TestFailure("not acked: \(answer)") }
    return offset
  }

  /// Waits until everything that the node had for this client before is here, and returns what was not taken yet.
  ///
  /// The node answers in the order in which it writes, so a `pong` stands behind all of it.
  package func settle() throws -> [Received] {
    let answer = try ask(#""type":"ping""#)
    guard answer.type == "pong" else { throw TestFailure("no pong: \(answer)") }
    return try takeUnread().compactMap { if case .text(let text) = $0 { try Received(text) } else { nil } }
  }
}
