import JSONCore

/// Gathers a packet of Socket.IO with its attachments, which come in messages of their own. One for each Engine.IO session;
/// holds nothing while nothing is awaited.
public struct PacketAssembler: Sendable {
  /// A packet with everything that belongs to it.
  public struct Assembled: Sendable {
    public let packet: SocketPacket
    /// The text that the packet's ranges are of.
    public let text: [UInt8]
    public fileprivate(set) var attachments: [[UInt8]]
  }

  private let bytesMax: Int
  /// None or one: an array takes one word while nothing is awaited.
  private var waiting: [Assembled] = []

  /// - Parameter bytesMax: the most bytes of a packet's text and attachments together.
  public init(bytesMax: Int) {
    self.bytesMax = bytesMax
  }

  /// Whether attachments are awaited.
  public var isWaiting: Bool { !waiting.isEmpty }

  /// How many bytes are held.
  public var byteCount: Int {
    guard let packet = waiting.first else { return 0 }
    return packet.attachments.reduce(packet.text.count) { $0 + $1.count }
  }

  /// Takes the data of a text message. Returns the packet when it is whole: its ranges are of `text`, which is not kept.
  /// Nil: attachments are awaited. After a fault the connection is to be closed.
  public mutating func addText(_ text: Span<UInt8>) throws(PacketFault) -> SocketPacket? {
    guard waiting.isEmpty else { throw .expectedAttachment }
    guard text.count <= bytesMax else { throw .tooLarge }
    let packet = try SocketPacket(parsing: text)
    guard packet.attachmentCount > 0, let payload = packet.payload else { return packet }
    guard Placeholders.areComplete(in: text.extracting(payload), count: packet.attachmentCount) else {
      throw .invalidPlaceholder
    }
    waiting = [Assembled(packet: packet, text: [UInt8](copying: text), attachments: [])]
    return nil
  }

  /// Takes a binary message, an attachment. Returns the packet with its last one; each attachment has exactly one
  /// placeholder in its payload.
  public mutating func addBinary(_ bytes: Span<UInt8>) throws(PacketFault) -> Assembled? {
    guard !waiting.isEmpty else { throw .unexpectedAttachment }
    guard bytes.count <= bytesMax - byteCount else { throw .tooLarge }
    waiting[0].attachments.append([UInt8](copying: bytes))
    guard waiting[0].attachments.count == waiting[0].packet.attachmentCount else { return nil }
    defer { waiting = [] }
    return waiting[0]
  }
}
