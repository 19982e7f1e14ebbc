/// Why bytes from a client are no packet. The official server closes the connection for each of them, and so should the caller.
public enum PacketFault: Error, CaseIterable, Sendable {
  case emptyPacket
  case unknownEngineType
  case invalidUTF8
  case invalidBase64
  case unknownType
  case invalidAttachmentCount
  case tooManyAttachments
  case invalidNamespace
  case invalidAckID
  case invalidPayload
  case invalidPlaceholder
  case expectedAttachment
  case unexpectedAttachment
  case attachmentsTooLarge

  /// Says what is wrong and what is expected instead.
  public var text: StaticString {
    fatalError()
  }
}
