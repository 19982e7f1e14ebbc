import ClientProtocol
import JSONCore
import Realtime
import SocketIOCore
import WebSocketCore

/// A room's batch as packets of Socket.IO: each entry is written once, whatever the transports of the members.
struct SocketIOBatch {
  /// The packets of all entries, one after the other.
  private(set) var packets = EncodedPackets()
  /// Where the packets of each entry end.
  private var ends: [Int] = []
  /// The position after each entry; nil: it says nothing about positions.
  private(set) var positions: [Position?] = []

  /// - Parameters:
  ///   - namespace: of the members.
  ///   - hasOffsets: whether each message carries the room's position, as the offset of members of this room alone.
  init(_ batch: RoomBatch, namespace: Span<UInt8>, hasOffsets: Bool) {
    var start = 0
    var last = batch.startOffset
    let bytes = batch.bytes
    packets.reserveCapacity(bytes: bytes.count + 32 * batch.entries.count, packets: batch.entries.count)
    positions.reserveCapacity(batch.entries.count)
    ends.reserveCapacity(batch.entries.count)
    for entry in batch.entries {
      if entry.offset > 0 { last = entry.offset }
      let position = entry.kind.isMessage ? batch.epoch.map { Position(epoch: $0, offset: last) } : nil
      positions.append(position)
      var offset: [UInt8]?
      if hasOffsets, let position {
        var text: [UInt8] = []
        position.append(to: &text)
        offset = text
      }
      SocketIOEncoder.append(
        bytes.span.extracting(start..<entry.end), entry.kind, namespace: namespace, offset: offset,
        binary: (entry.offset, entry.acceptedAt), to: &packets)
      start = entry.end
      ends.append(packets.entries.count)
    }
  }

  /// The packets of an entry.
  func range(_ entry: Int) -> Range<Int> { (entry == 0 ? 0 : ends[entry - 1])..<ends[entry] }

  /// All entries, or those without some, as WebSocket frames.
  func frames(without skipped: (Int) -> Bool = { _ in false }) -> [UInt8] {
    var frames: [UInt8] = []
    frames.reserveCapacity(packets.bytes.count + 10 * packets.entries.count)
    for entry in ends.indices where !skipped(entry) { packets.appendFrames(range(entry), to: &frames) }
    return frames
  }

  /// All entries, or those without some, as a polling payload.
  func payload(without skipped: (Int) -> Bool = { _ in false }) -> [UInt8] {
    var payload: [UInt8] = []
    payload.reserveCapacity(packets.bytes.count + packets.entries.count)
    for entry in ends.indices where !skipped(entry) { packets.appendPayload(range(entry), to: &payload) }
    return payload
  }

  /// The text packet of an entry.
  private func text(_ entry: Int) -> Range<Int> { packets.range(range(entry).lowerBound) }

  /// Appends the packets of an entry as WebSocket frames.
  ///
  /// - Parameter suffix: takes the place of the last byte of the text packet; nil: that stays.
  func appendFrames(_ entry: Int, _ suffix: PacketSuffix?, to output: inout [UInt8]) {
    guard let suffix else { return packets.appendFrames(range(entry), to: &output) }
    let text = packets.bytes[text(entry)].dropLast()
    FrameWriter.appendHeader(.text, payloadBytes: text.count + suffix.count, to: &output)
    output += text
    suffix.append(to: &output)
    packets.appendFrames(attachments(entry), to: &output)
  }

  /// Appends the packets of an entry to a polling payload.
  func appendPayload(_ entry: Int, _ suffix: PacketSuffix?, to payload: inout [UInt8]) {
    guard let suffix else { return packets.appendPayload(range(entry), to: &payload) }
    if !payload.isEmpty { payload.append(EnginePayloadReader.separator) }
    payload += packets.bytes[text(entry)].dropLast()
    suffix.append(to: &payload)
    packets.appendPayload(attachments(entry), to: &payload)
  }

  /// The attachments of an entry, which follow its text packet.
  func attachments(_ entry: Int) -> Range<Int> { (range(entry).lowerBound + 1)..<range(entry).upperBound }
}

/// The form in which Socket.IO clients get what the hub sends.
enum SocketIOEncoder {
  /// Adds one message or notice as an event.
  ///
  /// - Parameters:
  ///   - offset: where the client is after it; nil: where it was.
  ///   - binary: the offset and the time of a binary message, which is JSON here.
  static func append(
    _ message: Span<UInt8>, _ kind: EventKind, namespace: Span<UInt8>, offset: [UInt8]?,
    binary: (offset: UInt64, acceptedAt: UInt64) = (0, 0), to packets: inout EncodedPackets
  ) {
    switch kind {
    case .message:
      EventMapping.appendEvent(
        native: message, namespace: namespace, fallback: kind.wireName, offset: offset, to: &packets)
    case .binaryMessage:
      let text = EventStreamEncoder.json(
        ofBinary: message, offset: binary.offset > 0 ? binary.offset : nil, timestamp: binary.acceptedAt)
      PacketWriter.appendEvent(
        kind.wireName, argument: text.span, namespace: namespace, offset: offset, to: &packets)
    default:
      PacketWriter.appendEvent(
        kind.wireName, argument: message, namespace: namespace, offset: offset, to: &packets)
    }
  }
}

/// What the offset of a member of several rooms adds to a text packet, whose last byte it takes the place of.
struct PacketSuffix {
  private let rooms: SocketRooms?
  private let place: Range<Int>?
  private let position: [UInt8]

  /// An argument that says nothing of the member's place: without one the client would take the sender's last for its offset.
  static var placeless: PacketSuffix { PacketSuffix() }

  private init() { (rooms, place, position) = (nil, nil, Array(",null]".utf8)) }

  /// - Parameter place: where the position in the batch's room stands in the offset; nil: the member is not in that room.
  init(_ rooms: SocketRooms, _ place: Range<Int>?, _ position: Position) {
    var text: [UInt8] = []
    if place != nil { position.append(to: &text) }
    (self.rooms, self.place, self.position) = (rooms, place, text)
  }

  var count: Int {
    guard let rooms else { return position.count }
    return rooms.offset.count - (place?.count ?? 0) + position.count + 4
  }

  func append(to output: inout [UInt8]) {
    guard let rooms else { return output += position }
    output.append(",\"")
    if let place {
      output += rooms.offset[..<place.lowerBound]
      output += position
      output += rooms.offset[place.upperBound...]
    } else {
      output += rooms.offset
    }
    output.append("\"]")
  }
}

/// One message as packets for many sockets, written once for each namespace in a row.
struct SharedPackets {
  struct Forms {
    let frames: [UInt8]
    let payload: [UInt8]
  }

  private var namespace: [UInt8] = []
  private var made: Forms?

  /// The packets for a namespace, made unless they are those of the call before.
  mutating func packets(for namespace: [UInt8], _ encode: () -> EncodedPackets) -> Forms {
    if let made, self.namespace == namespace { return made }
    let packets = encode()
    var forms: (frames: [UInt8], payload: [UInt8]) = ([], [])
    packets.appendFrames(to: &forms.frames)
    packets.appendPayload(0..<packets.entries.count, to: &forms.payload)
    let new = Forms(frames: forms.frames, payload: forms.payload)
    (self.namespace, made) = (namespace, new)
    return new
  }
}
