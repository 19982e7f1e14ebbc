import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// The events of a batch, one after the other.
struct EventBlock {
  var bytes: [UInt8] = []
  /// Where the event of each entry ends.
  var ends: [Int] = []

  /// Where the event of an entry lies.
  func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }
}

/// The form in which an event stream carries what the hub sends (WHATWG HTML section 9.2): what people say without an event
/// name, everything else under its type; `id` is `EPOCH:OFFSET` of the room, by which the browser resumes.
enum EventStreamEncoder {
  /// Appends one event.
  ///
  /// - Parameters:
  ///   - position: where the room is after it; nil: it does not change what the client has.
  ///   - hasID: whether the position is the event's id; if not, the caller has written the id.
  static func append(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, timestamp: UInt64 = 0, hasID: Bool = true,
    to output: inout [UInt8]
  ) {
    var id: [UInt8]?
    if hasID, let position {
      var text: [UInt8] = []
      position.append(to: &text)
      id = text
    }
    let event: StaticString? = kind.isMessage ? nil : kind.wireName
    guard kind == .binaryMessage else {
      return ServerSentEvents.appendEvent(id: id, event: event, data: message, to: &output)
    }
    let text = json(ofBinary: message, offset: position?.offset, timestamp: timestamp)
    ServerSentEvents.appendEvent(id: id, event: event, data: text.span, to: &output)
  }

  /// A room's batch as one block for many members, and where the event of each entry ends.
  ///
  /// - Parameter hasIDs: whether messages carry the room's position as their id.
  static func block(of batch: RoomBatch, hasIDs: Bool) -> EventBlock {
    var block = EventBlock()
    let bytes = batch.bytes
    var start = 0
    for entry in batch.entries {
      // A binary message needs the offset for its JSON, whether it is an id or not.
      let position = entry.offset > 0 ? batch.epoch.map { Position(epoch: $0, offset: entry.offset) } : nil
      append(
        bytes.span.extracting(start..<entry.end), entry.kind, at: position, timestamp: entry.acceptedAt,
        hasID: hasIDs, to: &block.bytes)
      start = entry.end
      block.ends.append(block.bytes.count)
    }
    return block
  }

  /// Appends the event that stands before the end of a stream.
  static func appendClose(_ reason: CloseReason, to output: inout [UInt8]) {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("code")
    writer.unsigned(UInt64(reason.code))
    writer.key("reason")
    writer.string(reason.text)
    writer.endObject()
    let text = writer.finish()
    ServerSentEvents.appendEvent(event: "close", data: text.span, to: &output)
  }

  /// A binary message as JSON, its payload in base64: text is all that a stream carries.
  static func json(ofBinary message: Span<UInt8>, offset: UInt64?, timestamp: UInt64) -> [UInt8] {
    guard let envelope = DeliveredBinaryEnvelope(message) else { return [] }
    var text: [UInt8] = []
    text.append("{\"type\":\"message\",\"room\":")
    JSONString.append(message.extracting(envelope.room), to: &text)
    text.append(",\"user\":")
    if envelope.user.isEmpty {
      text.append("null")
    } else {
      JSONString.append(message.extracting(envelope.user), to: &text)
    }
    if let offset {
      text.append(",\"offset\":")
      JSONNumber.append(offset, to: &text)
    }
    if timestamp > 0 {
      text.append(",\"ts\":")
      JSONNumber.append(timestamp, to: &text)
    }
    text.append(",\"binary\":\"")
    Base64.append(message.extracting(envelope.payload), to: &text)
    text.append("\"}")
    return text
  }
}
