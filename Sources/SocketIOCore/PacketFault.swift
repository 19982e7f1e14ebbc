/// Why bytes from a client are no packet. The official server closes the connection for each of them, and so should the caller.
public enum PacketFault: Error, CaseIterable, Sendable {
  case emptyPacket
  case unknownEngineType
  case invalidUTF8
  case invalidBase64
  case unknownType
  case invalidAttachmentCount
  case tooManyAttachments
  case invalidAckID
  case invalidPayload
  case invalidPlaceholder
  case expectedAttachment
  case unexpectedAttachment
  case tooLarge

  /// Says what is wrong and what is expected instead.
  public var text: StaticString {
    switch self {
    case .emptyPacket: "a packet is empty; it begins with its type"
    case .unknownEngineType: "an Engine.IO packet begins with a digit from 0 to 6, or b"
    case .invalidUTF8: "text is not UTF-8; binary data goes as b and base64"
    case .invalidBase64: "what follows b is not base64"
    case .unknownType: "a Socket.IO packet begins with a digit from 0 to 6"
    case .invalidAttachmentCount: "a binary packet has the number of its attachments and - after its type"
    case .tooManyAttachments: "a packet may have 10 attachments; send more events"
    case .invalidAckID: "an ack id is a number below 2^53"
    case .invalidPayload:
      "the payload does not fit the packet's type: events and acks have an array, events its name first"
    case .invalidPlaceholder: "each attachment has one placeholder {\"_placeholder\":true,\"num\":n}, counted from 0"
    case .expectedAttachment: "the attachments of a binary packet follow it before anything else"
    case .unexpectedAttachment: "a binary message came without a packet that it belongs to"
    case .tooLarge: "a packet with its attachments is larger than max-message"
    }
  }
}
