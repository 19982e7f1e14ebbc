import JSONCore

extension EventMapping {
  /// Appends the native operation, a JSON object, that a reserved event stands for.
  ///
  /// `join`, `leave`, `presence` and `history` take a room or an object with `room`, all others an object. A `room` is the
  /// namespace's local name; the operation has the native one. A member `type` of the object is left out, and `id` unless it tells a repeated message from another one. Binary
  /// arguments become `{"$binary":base64}`. What is wrong inside is left to the parser of operations.
  ///
  /// - Parameter text: what the arguments are ranges of.
  /// - Returns: nil, or a text that says what the event needs: answer it with `bad_request`; nothing was appended.
  public static func appendOperation(
    _ operation: EventOperation, _ arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> StaticString? {
    guard let argument = arguments.first else { return need(of: operation) }
    let start = output.count
    output.append("{\"type\":\"")
    output.append(operation.name)
    output.append(UInt8(ascii: "\""))
    var problem: StaticString?
    switch argument.kind {
    case .object:
      problem = appendMembers(
        of: text.extracting(argument.value), keepsID: operation == .message, attachments: attachments,
        namespace: namespace, to: &output)
    case .string where operation.takesRoom:
      output.append(",\"room\":")
      problem = appendRoom(argument.string, of: text, namespace: namespace, to: &output)
    default: problem = need(of: operation)
    }
    if problem != nil {
      output.removeSubrange(start...)
    } else {
      output.append(UInt8(ascii: "}"))
    }
    return problem
  }

  private static func appendMembers(
    of object: Span<UInt8>, keepsID: Bool, attachments: [[UInt8]], namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> StaticString? {
    var scanner = JSONScanner(object)
    while let member = scanner.nextValidMember() {
      if member.key.equals("type", in: object) || !keepsID && member.key.equals("id", in: object) { continue }
      output.append(UInt8(ascii: ","))
      output.append(copying: object.extracting(member.key.quoted))
      output.append(UInt8(ascii: ":"))
      if member.key.equals("room", in: object), member.kind == .string {
        if let problem = appendRoom(member.string, of: object, namespace: namespace, to: &output) { return problem }
      } else {
        Placeholders.appendResolved(object.extracting(member.value), attachments: attachments, to: &output)
      }
    }
    return nil
  }

  private static func appendRoom(
    _ room: JSONStringRange?, of text: Span<UInt8>, namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> StaticString? {
    guard let local = room?.decoded(in: text) else { return "a room must be valid text" }
    var native: [UInt8] = []
    guard Namespace.appendNativeRoom(local.span, in: namespace, to: &native) else { return Namespace.roomRule }
    JSONString.append(native.span, to: &output)
    return nil
  }

  private static func need(of operation: EventOperation) -> StaticString {
    switch operation {
    case .join: "join needs a room, or an object such as {\"room\":\"lobby\",\"since\":…}"
    case .leave: "leave needs a room"
    case .presence: "presence needs a room, or an object such as {\"room\":\"lobby\",\"limit\":100}"
    case .history: "history needs a room, or an object such as {\"room\":\"lobby\",\"limit\":100}"
    case .message: "message needs an object with a room, such as {\"room\":\"lobby\",\"event\":\"chat\",\"args\":[]}"
    case .direct: "direct needs an object with to, the name of a user"
    case .broadcast: "broadcast needs an object"
    case .request: "request needs an object with action, such as {\"action\":\"time\"}"
    }
  }
}
