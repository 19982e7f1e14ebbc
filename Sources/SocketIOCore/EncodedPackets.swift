/// Engine.IO packets ready to be sent, one after the other in one buffer: written once, sent to many.
///
/// A text packet stands as it goes into a WebSocket's text frame (`42["hello"]`), a binary one as it goes into a binary
/// frame. ``appendPayload(_:to:)`` gives the form of polling.
public struct EncodedPackets: Sendable {
  /// Where a packet ends in ``bytes``; it begins where the one before it ends.
  public struct Entry: Equatable, Sendable {
    public let end: Int
    public let isBinary: Bool
  }

  public private(set) var bytes: [UInt8] = []
  public private(set) var entries: [Entry] = []

  public init() {}

  public var isEmpty: Bool { entries.isEmpty }

  /// Where packet `index` lies in ``bytes``.
  public func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : entries[index - 1].end)..<entries[index].end }

  /// Makes room for so many bytes of so many packets in all.
  public mutating func reserveCapacity(bytes byteCount: Int, packets count: Int) {
    bytes.reserveCapacity(byteCount)
    entries.reserveCapacity(count)
  }

  /// Empties it and keeps its room.
  public mutating func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
  }

  /// Adds a text packet that `write` appends to the buffer.
  public mutating func addText(_ write: (inout [UInt8]) -> Void) {
    write(&bytes)
    entries.append(Entry(end: bytes.count, isBinary: false))
  }

  /// Adds a binary message.
  public mutating func addBinary(_ message: Span<UInt8>) {
    bytes.append(copying: message)
    entries.append(Entry(end: bytes.count, isBinary: true))
  }

  /// Appends the packets `range` to a polling payload: a separator before each one unless `payload` is empty, binary ones as
  /// `b` and base64.
  public func appendPayload(_ range: Range<Int>, to payload: inout [UInt8]) {
    for index in range {
      if !payload.isEmpty { payload.append(EnginePayloadReader.separator) }
      let packet = bytes.span.extracting(self.range(index))
      if entries[index].isBinary {
        EngineWriter.appendBase64Message(packet, to: &payload)
      } else {
        payload.append(copying: packet)
      }
    }
  }
}
