import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// What an operator asks over its WebSocket: one JSON object in each text. Pure.
enum LiveOperation: Equatable {
  /// Proves who it is; the first operation, unless the handshake had the token.
  case auth(token: [UInt8])
  case watch(LiveWatch)
  /// Ends the watch of that id.
  case unwatch(id: [UInt8])

  /// Bytes of a watch's id.
  static let idBytesMax = 64
  /// Bytes of a path.
  private static let pathBytesMax = 4096

  /// Throws what is wrong, in words for the operator's program.
  init(_ text: Span<UInt8>) throws(ProtocolError) {
    let object: JSONValue
    do throws(JSONError) { object = try JSONValue.parse(text, depthMax: 4) } catch {
      throw ProtocolError(.badRequest, "an operation is one JSON object: \(error)")
    }
    switch object["type"]?.asString {
    case "auth":
      guard let token = object["token"]?.asBytes else { throw ProtocolError(.badRequest, "token must be a string") }
      self = .auth(token: token)
    case "watch": self = .watch(try LiveWatch(object, id: try LiveOperation.id(object)))
    case "unwatch": self = .unwatch(id: try LiveOperation.id(object))
    default: throw ProtocolError(.unknownType, "type must be \"auth\", \"watch\" or \"unwatch\"")
    }
  }

  private static func id(_ object: JSONValue) throws(ProtocolError) -> [UInt8] {
    guard let id = object["id"]?.asBytes, (1...idBytesMax).contains(id.count) else {
      throw ProtocolError(.badRequest, "id must be a string of 1 to \(idBytesMax) bytes")
    }
    return id
  }

  /// The request for a path below `/admin/`; nil: it is none.
  static func request(_ path: [UInt8]) -> RequestHead? {
    // Nothing in it may end the line, or begin another one.
    guard (1...pathBytesMax).contains(path.count), path.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
    let text = Array("GET /admin/".utf8) + path + Array(" HTTP/1.1\r\nHost: node\r\n\r\n".utf8)
    var parser = RequestParser()
    var cursor = 0
    guard case .request(let head) = parser.next(in: text.span, from: &cursor), cursor == text.count else { return nil }
    return head
  }
}

/// What an operator wants to be sent whenever it has changed: the answer to a read, or a room's messages.
struct LiveWatch: Equatable {
  enum Subject: Equatable {
    /// A path below `/admin/`, as it stands in a request.
    case read(path: [UInt8])
    /// The messages of a room, as they come.
    case tail(room: [UInt8])
  }

  /// Milliseconds between two looks: asked for, and the bounds of that.
  static let everyDefault = 2_000
  static let everyRange = 1_000...60_000
  /// Milliseconds before the first look.
  static let waitRange = 0...60_000

  let id: [UInt8]
  let subject: Subject
  let everyMilliseconds: Int
  let waitMilliseconds: Int

  fileprivate init(_ object: JSONValue, id: [UInt8]) throws(ProtocolError) {
    self.id = id
    everyMilliseconds = try LiveWatch.integer(object["every"], "every", LiveWatch.everyRange) ?? LiveWatch.everyDefault
    waitMilliseconds = try LiveWatch.integer(object["wait"], "wait", LiveWatch.waitRange) ?? 0
    switch (object["path"]?.asBytes, object["tail"]?.asBytes) {
    case (let path?, nil):
      guard LiveOperation.request(path) != nil else {
        throw ProtocolError(.badRequest, "path must be what follows /admin/ in a request, such as \"nodes\"")
      }
      subject = .read(path: path)
    case (nil, let room?):
      if let problem = RoomName.problem(room.span) { throw ProtocolError(.badRoom, problem) }
      subject = .tail(room: room)
    default: throw ProtocolError(.badRequest, "a watch has a path or a tail, not both, and they are strings")
    }
  }

  private static func integer(
    _ value: JSONValue?, _ name: String, _ range: ClosedRange<Int>
  ) throws(ProtocolError) -> Int? {
    guard let value else { return nil }
    guard let number = value.asInt, range.contains(number) else {
      throw ProtocolError(
        .badRequest, "\(name) must be milliseconds from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }
}
