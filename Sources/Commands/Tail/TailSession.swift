import ClientCore
import ClientProtocol
import JSONCore

/// Decides what a client that resumes says, prints and reports: one value that outlives its connections.
///
/// For each room it keeps the position of the last message it has printed, epoch and offset. On every new connection it
/// joins with that position as `since`; the server then sends what was missed before anything new, or says with
/// `recovered: false` that it cannot. Pure: touches no socket and no clock.
struct TailSession {
  /// What is to be done, in this order.
  enum Action: Equatable {
    /// Send a text message.
    case send([UInt8])
    /// Print a line of JSON.
    case print([UInt8])
    /// Tell the person in front of it.
    case note(String)
    /// Call ``join(_:)`` with this room after a backoff: the server could not let us in now.
    case retry(room: Int)
    /// The connection works: later backoffs start over.
    case settled
    /// Give up.
    case end(CommandFailure)
  }

  private struct Place {
    var epoch: [UInt8]
    var offset: UInt64
  }

  private struct Room {
    let name: [UInt8]
    let label: String
    var position: Place?
    /// Whether it was joined on an earlier connection. Only of interest for wildcards, which have no position.
    var wasJoined = false

    /// Whether it stands for every room that begins as its name does.
    var isWildcard: Bool { name.last == UInt8(ascii: "*") }
  }

  private let server: String
  private var rooms: [Room]
  /// Milliseconds between the server's pings, as `welcome` said; 0 before.
  private(set) var pingIntervalMilliseconds = 0

  /// - Parameter server: the address that is connected to, for errors.
  init(rooms: [String], server: String) {
    self.server = server
    self.rooms = rooms.map { Room(name: Array($0.utf8), label: TerminalText.line($0), position: nil) }
  }

  /// Makes the message that joins a room where it was left, or for the first time.
  func join(_ index: Int) -> Action {
    let room = rooms[index]
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("type")
    writer.string("join")
    writer.key("room")
    writer.string(room.name)
    // The answer, or the error, carries it back.
    writer.key("id")
    writer.string(String(index))
    if let position = room.position {
      writer.key("since")
      writer.beginObject()
      writer.key("epoch")
      writer.string(position.epoch)
      writer.key("offset")
      writer.unsigned(position.offset)
      writer.endObject()
    }
    writer.endObject()
    return .send(writer.finish())
  }

  /// Takes a text message of the server, valid UTF-8.
  mutating func receive(text: Span<UInt8>) -> [Action] {
    guard let message = try? ServerMessage(parsing: text) else {
      return [
        .end(
          CommandFailure(
            ExitStatus.unexpectedAnswer,
            "\(server) sent a text that is not a JSON object; check host, port and path of --url"))
      ]
    }
    if message.isType("message") { return received(message, text) }
    if message.isType("broadcast") || message.isType("direct") { return [.print(Self.oneLine(text))] }
    if message.isType("welcome") {
      pingIntervalMilliseconds = Int(clamping: message.pingInterval ?? 0)
      return rooms.indices.map(join)
    }
    if message.isType("joined") { return joined(message) }
    if message.isType("gap") { return gap(message) }
    if message.isType("degraded") { return [.note("the node has lost its Redis; messages come when it is back")] }
    if message.isType("restored") { return [.note("the node has its Redis back")] }
    if message.isType("auth_failed") {
      let reason = message.explanation ?? "no reason given"
      let text = "\(server) refused the token: \(reason); give another by --token"
      return [.end(CommandFailure(ExitStatus.noPermission, text))]
    }
    return message.isType("error") ? refused(message) : []
  }

  /// Takes a binary message: the byte 1, then room and user behind one length byte each, then the payload.
  ///
  /// It is printed as JSON with the payload in base64, as the server writes it into histories.
  mutating func receive(binary: Span<UInt8>) -> [Action] {
    guard let (name, user, payload) = Self.parts(of: binary) else {
      return [.note("ignored a binary message of an unknown form")]
    }
    let index = rooms.firstIndex { $0.name == name }
    var writer = JSONWriter(capacity: payload.count * 4 / 3 + 128)
    writer.beginObject()
    writer.key("type")
    writer.string("message")
    writer.key("room")
    writer.string(name)
    writer.key("user")
    writer.string(user)
    if let index, let position = rooms[index].position {
      // A binary message does not carry its offset, but within a room none is left out: it is the next one.
      rooms[index].position?.offset = position.offset + 1
      writer.key("offset")
      writer.unsigned(position.offset + 1)
    }
    writer.key("binary")
    writer.string(Base64.encode(payload.span))
    writer.endObject()
    return [.print(writer.finish())]
  }

  // MARK: Messages

  private mutating func received(_ message: ServerMessage, _ text: Span<UInt8>) -> [Action] {
    let line = Action.print(Self.oneLine(text))
    guard let index = index(of: message.room), let offset = message.offset, let last = rooms[index].position?.offset
    else { return [line] }
    if offset <= last { return [] }
    rooms[index].position?.offset = offset
    // The server tells of every loss it knows; a hole without a word would be a fault worth seeing.
    return offset == last + 1 ? [line] : [lost(last + 1, offset - 1, in: index), line]
  }

  private mutating func joined(_ message: ServerMessage) -> [Action] {
    guard let index = index(of: message.room) else { return [] }
    let label = rooms[index].label
    if rooms[index].isWildcard {
      defer { rooms[index].wasJoined = true }
      let note = rooms[index].wasJoined ? "joined again: gap: what was said meanwhile is not told" : "joined"
      return [.note("\(label): \(note)"), .settled]
    }
    guard let epoch = message.epoch, let offset = message.offset else { return [] }
    let previous = rooms[index].position
    if message.recovered == true, let previous {
      // Its offset is the room's; ours moves with each missed message, so that another cut here loses nothing. Its epoch may
      // go on from ours.
      rooms[index].position = Place(epoch: epoch, offset: previous.offset)
      if message.id == nil { return [] }
      return [.note("\(label): resumed after offset \(previous.offset)"), .settled]
    }
    rooms[index].position = Place(epoch: epoch, offset: offset)
    guard let previous else {
      let users = PlainText.count(Int(clamping: message.members ?? 0), "user")
      return [.note("\(label): joined at offset \(offset), \(users)"), .settled]
    }
    if previous.epoch == epoch, previous.offset == offset { return [.settled] }
    return [.note("\(label): gap: history no longer reaches back to offset \(previous.offset)"), .settled]
  }

  private mutating func gap(_ message: ServerMessage) -> [Action] {
    guard let index = index(of: message.room) else { return [] }
    guard let from = message.from, let to = message.to else {
      return [.note("\(rooms[index].label): gap: messages of rooms not heard before may be lost")]
    }
    if let last = rooms[index].position?.offset { rooms[index].position?.offset = max(last, to) }
    return [lost(from, to, in: index)]
  }

  private func lost(_ from: UInt64, _ to: UInt64, in index: Int) -> Action {
    .note("\(rooms[index].label): gap: messages \(from) to \(to) are lost")
  }

  private func refused(_ message: ServerMessage) -> [Action] {
    let code = message.code ?? "error"
    let text = "\(message.explanation ?? "refused") (\(code))"
    let index = message.id.flatMap { JSONNumber.unsigned($0.span) }.flatMap { Int(exactly: $0) }
    if ErrorCode(rawValue: code)?.isPassing == true {
      guard let index, rooms.indices.contains(index) else { return [.note(text)] }
      return [.note("\(rooms[index].label): \(text); trying again"), .retry(room: index)]
    }
    switch code {
    case "forbidden", "unauthenticated":
      let advice = "give a token by --token that allows it"
      return [.end(CommandFailure(ExitStatus.noPermission, "\(refusal(of: index)): \(text); \(advice)"))]
    default: return [.end(CommandFailure(ExitStatus.refusedData, "\(refusal(of: index)): \(text)"))]
    }
  }

  /// Names who refused what: an answer to a join carries the room's index back.
  private func refusal(of index: Int?) -> String {
    guard let index, rooms.indices.contains(index) else { return "\(server) refused this client" }
    return "\(server) refused the room \(rooms[index].label)"
  }

  private func index(of name: [UInt8]?) -> Int? { rooms.firstIndex { $0.name == name } }

  // MARK: Forms

  /// A line end in valid JSON stands between tokens only, where a space means the same (RFC 8259 section 2).
  private static func oneLine(_ text: Span<UInt8>) -> [UInt8] {
    var line: [UInt8] = []
    line.reserveCapacity(text.count)
    for index in text.indices {
      let byte = text[index]
      line.append(byte == UInt8(ascii: "\n") || byte == UInt8(ascii: "\r") ? UInt8(ascii: " ") : byte)
    }
    return line
  }

  private static func parts(of binary: Span<UInt8>) -> (room: [UInt8], user: [UInt8], payload: [UInt8])? {
    guard let envelope = DeliveredBinaryEnvelope(binary) else { return nil }
    let (room, user) = (binary.extracting(envelope.room), binary.extracting(envelope.user))
    guard JSONScanner.isValidUTF8(room), JSONScanner.isValidUTF8(user) else { return nil }
    return (
      [UInt8](copying: room), [UInt8](copying: user), [UInt8](copying: binary.extracting(envelope.payload))
    )
  }
}
