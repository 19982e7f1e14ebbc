import ClientProtocol
import JSONCore
import Realtime

/// Writes events as receivers get them: `{"id":…,"event":…,"ts":ms,…}`. What Redis records is written by room_events.lua in
/// the same form.
enum EventText {
  /// Begins an event; the caller ends the object.
  static func begin(_ name: StaticString, id: [UInt8], at milliseconds: UInt64) -> JSONWriter {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("id")
    writer.string(id)
    writer.key("event")
    writer.string(name)
    writer.key("ts")
    writer.unsigned(milliseconds)
    return writer
  }

  /// A connection that has a user, or had one.
  static func session(
    _ name: StaticString, id: [UInt8], at milliseconds: UInt64, connection: [UInt8], user: [UInt8],
    _ transport: Transport, address: [UInt8], node: [UInt8]
  ) -> [UInt8] {
    var writer = begin(name, id: id, at: milliseconds)
    writer.key("connection")
    writer.string(connection)
    writer.key("user")
    writer.string(user)
    writer.key("transport")
    writer.string(transport.name)
    if !address.isEmpty {
      writer.key("address")
      writer.string(address)
    }
    writer.key("node")
    writer.string(node)
    writer.endObject()
    return writer.finish()
  }

  /// A message that was published; nil for an envelope of another kind. Its id is `ROOM:EPOCH:OFFSET`: a message that is
  /// reported twice has the same one.
  static func message(room: [UInt8], _ position: Position, envelope: [UInt8]) -> [UInt8]? {
    guard let parsed = Envelope(envelope.span), parsed.kind == .message || parsed.kind == .binary else { return nil }
    var epoch: [UInt8] = []
    position.epoch.append(to: &epoch)
    let id = room + [UInt8(ascii: ":")] + epoch + Array(":\(position.offset)".utf8)
    let timestamp = UInt64(String(decoding: envelope[parsed.timestamp], as: UTF8.self)) ?? 0
    var writer = begin("message", id: id, at: timestamp)
    writer.key("room")
    writer.string(room)
    writer.key("user")
    writer.raw(Array(envelope[parsed.user]))
    writer.key("epoch")
    writer.string(epoch)
    writer.key("offset")
    writer.unsigned(position.offset)
    if parsed.kind == .message {
      writer.key("data")
      writer.raw([UInt8(ascii: "{")] + envelope[parsed.body] + [UInt8(ascii: "}")])
    } else {
      writer.key("binary")
      writer.string(Base64.encode(Array(envelope[parsed.body]).span))
    }
    if !parsed.trace.isEmpty {
      // At the end, where `trace(of:)` finds it.
      writer.key("traceparent")
      writer.string(Array(envelope[parsed.trace]))
    }
    writer.endObject()
    return writer.finish()
  }

  /// What stands before and after the `traceparent` at the end of an event.
  private static let traceBegin = Array(",\"traceparent\":\"".utf8)
  private static let traceEnd = Array("\"}".utf8)

  /// The trace of an event; nil: it has none. What clients wrote stands within an object, after which the event goes on.
  static func trace(of event: [UInt8]) -> TraceContext? {
    let end = event.count - traceEnd.count
    let start = end - TraceContext.byteCount
    guard start > traceBegin.count, event[end...].elementsEqual(traceEnd),
      event[(start - traceBegin.count)..<start].elementsEqual(traceBegin)
    else { return nil }
    return TraceContext(event.span.extracting(start..<end))
  }

  /// An event of a room.
  static func room(_ event: RoomEvent, id: [UInt8], at milliseconds: UInt64) -> [UInt8] {
    var writer = begin(event.kind.name, id: id, at: milliseconds)
    writer.key("room")
    writer.string(event.room)
    if let user = event.user {
      writer.key("user")
      writer.string(user)
    }
    if let info = event.info {
      writer.key("info")
      writer.raw(info)
    }
    writer.endObject()
    return writer.finish()
  }
}

extension RoomEventKind {
  /// The name of the event.
  var name: StaticString {
    switch self {
    case .roomCreated: "room_created"
    case .roomEmptied: "room_emptied"
    case .userJoined: "user_joined"
    case .userLeft: "user_left"
    }
  }
}
