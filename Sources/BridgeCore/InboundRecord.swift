import ClientProtocol
import JSONCore
import Realtime
import Settings

/// A record or a queued message as it came from the other side.
public struct InboundRecord: Sendable {
  /// The topic or the queue.
  public var source: [UInt8]
  /// The key, of AMQP the routing key; nil: it has none.
  public var key: [UInt8]?
  /// Headers whose values are text, in their order.
  public var headers: [(name: [UInt8], value: [UInt8])]
  public var value: [UInt8]
  /// What makes a redelivery recognisable: of Kafka topic, partition and offset, of AMQP the message-id; nil: nothing does.
  public var id: [UInt8]?

  public init(
    source: [UInt8], key: [UInt8]?, headers: [(name: [UInt8], value: [UInt8])] = [], value: [UInt8], id: [UInt8]?
  ) {
    self.source = source
    self.key = key
    self.headers = headers
    self.value = value
    self.id = id
  }

  /// Bytes that it takes while it waits.
  public var byteCount: Int {
    headers.reduce(value.count + (key?.count ?? 0) + 200) { $0 + $1.name.count + $1.value.count }
  }
}

/// What becomes of a record.
public enum RecordOutcome: Equatable, Sendable {
  /// It is published. `id` is the idempotency key.
  case publish(room: [UInt8], envelope: [UInt8], id: [UInt8]?)
  /// It can never be published, and the reason why.
  case deadLetter(String)
}

/// Decides what becomes of a record. Pure.
public struct RecordMapping: Sendable {
  private let bridge: String
  private let input: BridgeInput
  private let messageBytesMax: Int

  /// - Parameter messageBytesMax: bytes of a record's value that a room takes.
  public init(_ input: BridgeInput, bridge: String, messageBytesMax: Int) {
    self.input = input
    self.bridge = bridge
    self.messageBytesMax = messageBytesMax
  }

  /// - Parameter now: milliseconds since 1970, the message's time stamp.
  public func outcome(of record: InboundRecord, now: UInt64) -> RecordOutcome {
    guard record.value.count <= messageBytesMax else {
      return .deadLetter("the record has \(record.value.count) bytes, more than max-message (\(messageBytesMax))")
    }
    let fields = RecordFields(record)
    guard let template = input.room, let room = template.filled(fields.value) else {
      return .deadLetter("the record lacks what the template of room names")
    }
    if let problem = RoomName.problem(room.span) { return .deadLetter("the room is not possible: \(problem)") }
    var user = Array("null".utf8)
    if let template = input.user {
      guard let name = template.filled(fields.value), RoomName.isValid(name.span) else {
        return .deadLetter("the template of user makes no name of 1 to 200 bytes without control characters")
      }
      user = JSONString.quoting(name)
    }
    guard let id = self.id(of: record, fields) else {
      return .deadLetter("the record lacks what the template of id names")
    }
    do throws(ProtocolError) {
      var envelope: [UInt8] = []
      Envelope.begin(.message, timestamp: now, origin: [], userJSON: user, into: &envelope)
      envelope.append(contentsOf: try members(of: record))
      return .publish(room: room, envelope: envelope, id: id.isEmpty ? nil : id)
    } catch {
      return .deadLetter(error.message)
    }
  }

  /// The idempotency key: its letter keeps it apart from those of clients and backends. Empty: there is none.
  private func id(of record: InboundRecord, _ fields: RecordFields) -> [UInt8]? {
    var id = record.id
    if let template = input.id {
      guard let made = template.filled(fields.value) else { return nil }
      id = made
    }
    guard let id else { return [] }
    return Array("b:\(bridge):\(input.source):".utf8) + id
  }

  private func members(of record: InboundRecord) throws(ProtocolError) -> [UInt8] {
    guard JSONScanner.isValidUTF8(record.value.span) else {
      throw ProtocolError(.badRequest, "the record is not UTF-8")
    }
    guard let member = input.member else {
      let data = try MessageData(record.value.span)
      var members: [UInt8] = []
      data.members.appendMembers(of: record.value.span, to: &members)
      return members
    }
    do { try JSONScanner.validate(record.value.span) } catch {
      throw ProtocolError(.badRequest, "the record is no JSON: \(error)")
    }
    var members = JSONString.quoting(Array(member.utf8))
    members.append(UInt8(ascii: ":"))
    members.append(contentsOf: record.value)
    return members
  }
}

/// What the places of a template are filled with. The JSON is read once, when a place names it.
private final class RecordFields {
  private let record: InboundRecord
  private var json: JSONValue??

  init(_ record: InboundRecord) { self.record = record }

  func value(_ variable: BridgeTemplate.Variable) -> [UInt8]? {
    switch variable {
    case .key: return record.key
    case .id: return record.id
    case .topic: return record.source
    case .header(let name): return record.headers.last { $0.name == name }?.value
    case .value(let path):
      if json == nil { json = .some(JSONText.parse(record.value)) }
      return JSONText.member(path, of: json ?? nil)
    case .room, .user: return nil
    }
  }
}

/// Members of JSON as text.
enum JSONText {
  /// Reads a text; nil for what is no JSON.
  static func parse(_ text: [UInt8]) -> JSONValue? {
    do { return try JSONValue.parse(text.span) } catch { return nil }
  }

  /// The member at a path, when it is text, a number or a truth value.
  static func member(_ path: [[UInt8]], of value: JSONValue?) -> [UInt8]? {
    guard var value else { return nil }
    for name in path {
      guard let next = value.asObject?.last(where: { $0.key == name })?.value else { return nil }
      value = next
    }
    switch value {
    case .string(let text), .number(let text): return text
    case .bool(let flag): return Array((flag ? "true" : "false").utf8)
    case .null, .array, .object: return nil
    }
  }
}
