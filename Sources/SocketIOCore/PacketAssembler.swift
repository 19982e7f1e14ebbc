import JSONCore

/// Gathers a packet of Socket.IO with its attachments, which come in messages of their own. One for each Engine.IO session;
/// holds nothing while nothing is awaited.
public struct PacketAssembler: Sendable {
  /// A packet with everything that belongs to it.
  public struct Assembled: Sendable {
    public let packet: SocketPacket
    /// The text that the packet's ranges are of.
    public let text: [UInt8]
    public let attachments: [[UInt8]]
  }

  /// - Parameter bytesMax: the most bytes of a packet's text and attachments together.
  public init(bytesMax: Int) {
    fatalError()
  }

  /// Whether attachments are awaited.
  public var isWaiting: Bool { fatalError() }
  /// How many bytes are held.
  public var byteCount: Int { fatalError() }

  /// Takes the data of a text message. Returns the packet when it is whole: its ranges are of `text`, which is not kept.
  /// Nil: attachments are awaited. After a fault the connection is to be closed.
  public mutating func addText(_ text: Span<UInt8>) throws(PacketFault) -> SocketPacket? {
    fatalError()
  }

  /// Takes a binary message, an attachment. Returns the packet with its last one; its placeholders are checked: each number
  /// below the count stands exactly once.
  public mutating func addBinary(_ bytes: Span<UInt8>) throws(PacketFault) -> Assembled? {
    fatalError()
  }
}
