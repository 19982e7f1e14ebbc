import JSONCore

extension ServerEvent {
  /// Appends the event as one JSON object.
  ///
  /// - Parameter id: the `id` of the operation that it answers, with its quotes, byte for byte; nil: it had none, or
  ///   nobody asked.
  public func appendJSON(id: [UInt8]? = nil, to output: inout [UInt8]) {
    if case .response(let body) = self { return ServerEvent.appendResponse(body, id: id, to: &output) }
    output.append("{\"type\":\"")
    output.append(kind.wireName)
    output.append(UInt8(ascii: "\""))
    if let id {
      output.append(",\"id\":")
      output.append(contentsOf: id)
    }
    appendMembers(to: &output)
    output.append(UInt8(ascii: "}"))
  }

  private func appendMembers(to output: inout [UInt8]) {
    switch self {
    case .degraded, .restored, .ackSent: break
    case .welcome(let connection, let node, let user, let pingInterval):
      ServerEvent.append(",\"connection\":", string: connection, to: &output)
      ServerEvent.append(",\"node\":", string: node, to: &output)
      if let user {
        ServerEvent.append(",\"user\":", string: user, to: &output)
      } else {
        output.append(",\"user\":null")
      }
      ServerEvent.append(",\"pingInterval\":", UInt64(pingInterval), to: &output)
    case .authSuccess(let user): ServerEvent.append(",\"user\":", string: user, to: &output)
    case .authFailed(let reason): ServerEvent.append(",\"reason\":", string: Array(reason.utf8), to: &output)
    case .tokenExpires(let moment): ServerEvent.append(",\"at\":", moment, to: &output)
    case .pong(let moment): ServerEvent.append(",\"ts\":", moment, to: &output)
    case .directDropped(let count): ServerEvent.append(",\"count\":", count, to: &output)
    case .ackDelivered(let count): ServerEvent.append(",\"delivered\":", UInt64(count), to: &output)
    case .reconnect(let delay): ServerEvent.append(",\"after\":", UInt64(max(0, delay)), to: &output)
    case .error(let code, let message):
      output.append(",\"code\":\"")
      output.append(code.wireName)
      ServerEvent.append("\",\"message\":", string: Array(message.utf8), to: &output)
    case .presence(let room, let body), .history(let room, let body):
      ServerEvent.append(",\"room\":", string: room, to: &output)
      ServerEvent.append(body, to: &output)
    case .response: break
    case .joined, .left, .ack, .userJoined, .userLeft, .userState, .presenceUpdate, .gap: appendRoomMembers(to: &output)
    }
  }

  /// Appends the members of an event about one room, whose name is JSON already.
  private func appendRoomMembers(to output: inout [UInt8]) {
    switch self {
    case .joined(let room, let position, let userCount, let recovered):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      if let position { ServerEvent.append(position, to: &output) }
      ServerEvent.append(",\"members\":", UInt64(userCount), to: &output)
      if let recovered { output.append(recovered ? ",\"recovered\":true" : ",\"recovered\":false") }
    case .left(let room): ServerEvent.append(",\"room\":", json: room, to: &output)
    case .ack(let room, let position):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      if let position { ServerEvent.append(position, to: &output) }
    case .userJoined(let room, let user, let info):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      ServerEvent.append(",\"user\":", json: user, to: &output)
      if !info.isEmpty { ServerEvent.append(",\"info\":", json: info, to: &output) }
    case .userLeft(let room, let user):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      ServerEvent.append(",\"user\":", json: user, to: &output)
    case .userState(let room, let user, let state):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      ServerEvent.append(",\"user\":", json: user, to: &output)
      ServerEvent.append(",\"state\":", json: state, to: &output)
    case .presenceUpdate(let room, let userCount, let joined, let left, let hasMore):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      ServerEvent.append(",\"count\":", UInt64(userCount), to: &output)
      ServerEvent.append(",\"joined\":", names: joined, to: &output)
      ServerEvent.append(",\"left\":", names: left, to: &output)
      if hasMore { output.append(",\"more\":true") }
    case .gap(let room, let lost):
      ServerEvent.append(",\"room\":", json: room, to: &output)
      if let lost {
        ServerEvent.append(",\"from\":", lost.lowerBound, to: &output)
        ServerEvent.append(",\"to\":", lost.upperBound, to: &output)
      }
    // The events without a room are above.
    default: break
    }
  }

  /// A response begins with its `id`: that is what its receiver looks for.
  private static func appendResponse(_ body: any EventBody, id: [UInt8]?, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "{"))
    if let id {
      output.append("\"id\":")
      output.append(contentsOf: id)
      output.append(UInt8(ascii: ","))
    }
    output.append("\"type\":\"response\"")
    append(body, to: &output)
    output.append(UInt8(ascii: "}"))
  }

  // MARK: Members

  private static func append(_ key: StaticString, json: [UInt8], to output: inout [UInt8]) {
    output.append(key)
    output.append(contentsOf: json)
  }

  private static func append(_ key: StaticString, string: [UInt8], to output: inout [UInt8]) {
    output.append(key)
    JSONString.append(string.span, to: &output)
  }

  private static func append(_ key: StaticString, _ number: UInt64, to output: inout [UInt8]) {
    output.append(key)
    JSONNumber.append(number, to: &output)
  }

  private static func append(_ key: StaticString, names: [[UInt8]], to output: inout [UInt8]) {
    output.append(key)
    output.append(UInt8(ascii: "["))
    for (index, name) in names.enumerated() {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      JSONString.append(name.span, to: &output)
    }
    output.append(UInt8(ascii: "]"))
  }

  private static func append(_ position: Position, to output: inout [UInt8]) {
    output.append(",\"epoch\":\"")
    position.epoch.append(to: &output)
    output.append("\",\"offset\":")
    JSONNumber.append(position.offset, to: &output)
  }

  private static func append(_ body: any EventBody, to output: inout [UInt8]) {
    var writer = JSONWriter(continuing: output)
    output = []
    body.write(to: &writer)
    output = writer.finish()
  }
}

extension ServerEvent {
  /// Makes the JSON of an `error` that answers no `id`.
  public static func json(ofError error: ProtocolError) -> [UInt8] {
    var text: [UInt8] = []
    ServerEvent.error(error.code, error.message).appendJSON(to: &text)
    return text
  }
}
