import JSONCore

extension ClientOperation {
  /// Parses the text of one operation, which must be valid UTF-8.
  ///
  /// Malformed JSON is reported before anything else; then the `id`, the `type`, and the members that this type needs.
  public init(parsing text: Span<UInt8>) throws(ProtocolError) {
    let scan = try Self.scan(text, passesTo: false)
    let id = try Self.checkedID(scan.id, in: text)
    do {
      self = try Self.operation(from: scan, id: id?.quoted, in: text)
    } catch {
      throw ProtocolError(error.code, error.message, id: id?.quoted)
    }
  }

  private static func scan(_ text: Span<UInt8>, passesTo: Bool) throws(ProtocolError) -> OperationScan {
    do {
      return try OperationScan(text, passesTo: passesTo)
    } catch {
      if error.reason == .expectedObject {
        throw ProtocolError(.badRequest, "an operation is one JSON object, such as {\"type\":\"ping\"}")
      }
      throw ProtocolError(.badRequest, "malformed JSON: \(error)")
    }
  }

  private static func checkedID(_ member: JSONMember?, in text: Span<UInt8>) throws(ProtocolError) -> JSONStringRange? {
    guard let member else { return nil }
    guard let id = member.string else { throw ProtocolError(.badRequest, "id must be a string of at most 64 bytes") }
    let fits: Bool
    if id.hasEscapes {
      fits = id.decoded(in: text).map { $0.count <= idBytesMax } ?? false
    } else {
      fits = id.contents.count <= idBytesMax
    }
    guard fits else { throw ProtocolError(.badRequest, "id must be valid text of at most 64 bytes") }
    return id
  }

  private static func operation(
    from scan: OperationScan, id: Range<Int>?, in text: Span<UInt8>
  ) throws(ProtocolError) -> ClientOperation {
    guard let type = scan.type?.string else {
      throw ProtocolError(.badRequest, "type must be a string: \(typeList)")
    }
    guard let kind = Kind(type, in: text) else { throw unknownType(type, in: text) }
    var operation = ClientOperation(kind: kind, id: id)
    switch kind {
    case .ping: break
    case .auth: operation.token = try string(scan.token, "auth needs token, a string")
    case .leave: operation.room = try checkedRoom(scan.room, in: text)
    case .presence:
      operation.room = try checkedRoom(scan.room, in: text)
      operation.limit = try checkedLimit(scan.limit, in: text)
      operation.after = try checkedAfter(scan.after, in: text)
    case .join:
      operation.room = try checkedRoom(scan.room, in: text)
      operation.since = try checkedSince(scan.since, in: text)
    case .state:
      operation.room = try checkedRoom(scan.room, in: text)
      operation.state = try checkedState(scan.state)
    case .history:
      operation.room = try checkedRoom(scan.room, in: text)
      operation.since = try checkedSince(scan.since, in: text)
      operation.limit = try checkedLimit(scan.limit, in: text)
    case .message:
      operation.room = try checkedRoom(scan.room, in: text)
      operation.echo = try checkedFlag(scan.echo, "echo")
      operation.isEphemeral = try checkedFlag(scan.ephemeral, "ephemeral")
      operation.passThrough = try passThrough(of: scan, in: text)
    case .broadcast: operation.passThrough = try passThrough(of: scan, in: text)
    case .direct:
      operation.to = try checkedUser(scan.to, in: text)
      operation.passThrough = scan.passThrough
    case .request:
      operation.action = try string(scan.action, "request needs action, a string")
      operation.payload = scan.payload?.value
    }
    if let trace = scan.traceparent, kind.isTraced {
      operation.trace = trace.string.flatMap { TraceContext($0, in: text) }
    }
    return operation
  }

  /// Takes the members found, or reads again when there is a `to`, which only `direct` keeps for itself.
  private static func passThrough(of scan: OperationScan, in text: Span<UInt8>) throws(ProtocolError) -> PassThrough {
    if scan.to == nil { return scan.passThrough }
    return try Self.scan(text, passesTo: true).passThrough
  }
}

extension ClientOperation {
  private static var typeList: String { Kind.allCases.map(\.rawValue).joined(separator: ", ") }

  /// Names the type in the error, unless it is too long to be a mistake in spelling.
  private static func unknownType(_ type: JSONStringRange, in text: Span<UInt8>) -> ProtocolError {
    guard type.contents.count <= 64, let name = type.decoded(in: text) else {
      return ProtocolError(.unknownType, "unknown type; expected one of \(typeList)")
    }
    return ProtocolError(
      .unknownType, "unknown type \"\(String(decoding: name, as: UTF8.self))\"; expected one of \(typeList)")
  }

  private static func string(_ member: JSONMember?, _ rule: String) throws(ProtocolError) -> JSONStringRange {
    guard let string = member?.string else { throw ProtocolError(.badRequest, rule) }
    return string
  }

  private static func checkedRoom(_ member: JSONMember?, in text: Span<UInt8>) throws(ProtocolError) -> JSONStringRange
  {
    guard let room = member?.string else { throw ProtocolError(.badRequest, "room must be a string") }
    let isValid: Bool
    if room.hasEscapes {
      isValid = room.decoded(in: text).map { RoomName.isValid($0.span) } ?? false
    } else {
      isValid = RoomName.isValid(text.extracting(room.contents))
    }
    guard isValid else { throw ProtocolError(.badRoom, RoomName.rule) }
    return room
  }

  private static func checkedState(_ member: JSONMember?) throws(ProtocolError) -> Range<Int> {
    guard let member else {
      throw ProtocolError(.badRequest, "state needs state, one JSON value; null takes it back")
    }
    guard member.value.count <= ClientOperation.stateBytesMax else {
      let count = member.value.count
      throw ProtocolError(.tooLarge, "state has \(count) bytes; it may have \(ClientOperation.stateBytesMax)")
    }
    return member.value
  }

  private static func checkedUser(_ member: JSONMember?, in text: Span<UInt8>) throws(ProtocolError) -> JSONStringRange
  {
    guard let user = member?.string, !user.contents.isEmpty, !user.hasEscapes || user.decoded(in: text) != nil else {
      throw ProtocolError(.badRequest, "direct needs to, the name of a user")
    }
    return user
  }

  private static func checkedFlag(_ member: JSONMember?, _ name: StaticString) throws(ProtocolError) -> Bool {
    switch member?.kind {
    case nil, .null, .false: return false
    case .true: return true
    default: throw ProtocolError(.badRequest, "\(name) must be true or false")
    }
  }

  private static func checkedLimit(_ member: JSONMember?, in text: Span<UInt8>) throws(ProtocolError) -> Int? {
    guard let member, member.kind != .null else { return nil }
    guard member.kind == .number, let limit = JSONNumber.integer(text.extracting(member.value)), limit > 0 else {
      throw ProtocolError(.badRequest, "limit must be a whole number, 1 or more")
    }
    return limit
  }

  private static func checkedAfter(
    _ member: JSONMember?, in text: Span<UInt8>
  ) throws(ProtocolError) -> JSONStringRange? {
    guard let member, member.kind != .null else { return nil }
    guard let user = member.string, !user.hasEscapes || user.decoded(in: text) != nil else {
      throw ProtocolError(.badRequest, "after must be a string, the name of a user")
    }
    return user
  }

  private static func checkedSince(_ member: JSONMember?, in text: Span<UInt8>) throws(ProtocolError) -> Position? {
    guard let member, member.kind != .null else { return nil }
    guard member.kind == .object else { throw ProtocolError(.badRequest, sinceRule) }
    return try position(text.extracting(member.value))
  }

  private static var sinceRule: String { "since must be {\"epoch\":E,\"offset\":N} as the server gave them" }

  private static func position(_ object: Span<UInt8>) throws(ProtocolError) -> Position {
    var epoch: Epoch?
    var offset: UInt64?
    var scanner = JSONScanner(object)
    while true {
      let next: JSONMember?
      do throws(JSONError) { next = try scanner.nextMember() } catch {
        throw ProtocolError(.badRequest, sinceRule)
      }
      guard let member = next else { break }
      if member.key.equals("epoch", in: object) {
        // Whatever the text is, no room has that epoch: the answer is `recovered: false`.
        epoch = member.string.map { $0.decoded(in: object).flatMap { Epoch(text: $0.span) } ?? .unknown }
      } else if member.key.equals("offset", in: object) {
        offset = member.kind == .number ? Position.offset(parsing: object.extracting(member.value)) : nil
        guard offset != nil else {
          throw ProtocolError(.badRequest, "since.offset must be \(Position.offsetRule)")
        }
      }
    }
    guard let epoch, let offset else { throw ProtocolError(.badRequest, sinceRule) }
    return Position(epoch: epoch, offset: offset)
  }
}
