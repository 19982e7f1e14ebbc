import JSONCore

/// Writes packets of Socket.IO, each with the `4` of the Engine.IO message around it, into ``EncodedPackets``.
///
/// `namespace` is empty or `/` for the main namespace. Payloads are JSON that is valid already.
public enum PacketWriter {
  /// Accepts a connection to a namespace. `pid`: of a connection that can be recovered. Both ids need no escapes in JSON.
  public static func appendConnect(
    namespace: Span<UInt8>, sid: Span<UInt8>, pid: [UInt8]? = nil, to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(.connect, namespace: namespace, to: &bytes)
      bytes.append("{\"sid\":\"")
      bytes.append(copying: sid)
      if let pid {
        bytes.append("\",\"pid\":\"")
        bytes.append(contentsOf: pid)
      }
      bytes.append("\"}")
    }
  }

  /// Refuses a connection to a namespace: `{"message":M}`, with `code` also `"data":{"code":C}`.
  public static func appendConnectError(
    namespace: Span<UInt8>, message: Span<UInt8>, code: [UInt8]? = nil, to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(.connectError, namespace: namespace, to: &bytes)
      bytes.append("{\"message\":")
      JSONString.append(message, to: &bytes)
      if let code {
        bytes.append(",\"data\":{\"code\":")
        JSONString.append(code.span, to: &bytes)
        bytes.append(UInt8(ascii: "}"))
      }
      bytes.append(UInt8(ascii: "}"))
    }
  }

  /// Ends a connection to a namespace; the official client does not come back to it by itself.
  public static func appendDisconnect(namespace: Span<UInt8>, to output: inout EncodedPackets) {
    output.addText { appendHead(.disconnect, namespace: namespace, to: &$0) }
  }

  /// An event of the server's own: its name and one argument, a JSON value that stands as it is.
  ///
  /// - Parameter offset: as of ``EventMapping/appendEvent(native:namespace:fallback:offset:to:)``.
  public static func appendEvent(
    _ name: StaticString, argument: Span<UInt8>, namespace: Span<UInt8>, offset: [UInt8]? = nil,
    to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(.event, namespace: namespace, to: &bytes)
      bytes.append("[\"")
      bytes.append(name)
      bytes.append(UInt8(ascii: "\""))
      appendArguments(argument, offset: offset, to: &bytes)
      bytes.append(UInt8(ascii: "]"))
    }
  }

  /// An ack with the arguments `list`: JSON values with commas between them, no brackets, perhaps none.
  public static func appendAck(
    _ id: UInt64, list: Span<UInt8>, namespace: Span<UInt8>, to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(.ack, namespace: namespace, ackID: id, to: &bytes)
      bytes.append(UInt8(ascii: "["))
      bytes.append(copying: list)
      bytes.append(UInt8(ascii: "]"))
    }
  }

  /// An event with another one's arguments and attachments: `message` repeated as `message-back`, for instance.
  ///
  /// - Parameter text: what the arguments are ranges of.
  public static func appendEvent(
    _ name: StaticString, repeating arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(
        attachments.isEmpty ? .event : .binaryEvent, attachments: attachments.count, namespace: namespace, to: &bytes)
      bytes.append("[\"")
      bytes.append(name)
      bytes.append(UInt8(ascii: "\""))
      appendArguments(text.extracting(arguments.list), offset: nil, to: &bytes)
      bytes.append(UInt8(ascii: "]"))
    }
    for attachment in attachments { output.addBinary(attachment.span) }
  }

  /// Acks an event with its own arguments and attachments.
  ///
  /// - Parameter text: what the arguments are ranges of.
  public static func appendAck(
    _ id: UInt64, repeating arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout EncodedPackets
  ) {
    output.addText { bytes in
      appendHead(
        attachments.isEmpty ? .ack : .binaryAck, attachments: attachments.count, namespace: namespace, ackID: id,
        to: &bytes)
      bytes.append(UInt8(ascii: "["))
      bytes.append(copying: text.extracting(arguments.list))
      bytes.append(UInt8(ascii: "]"))
    }
    for attachment in attachments { output.addBinary(attachment.span) }
  }

  /// Everything that stands before the payload.
  static func appendHead(
    _ type: SocketPacketType, attachments: Int = 0, namespace: Span<UInt8>, ackID: UInt64? = nil,
    to output: inout [UInt8]
  ) {
    output.append(EnginePacketType.message.digit)
    output.append(type.digit)
    if type.isBinary {
      JSONNumber.append(attachments, to: &output)
      output.append(UInt8(ascii: "-"))
    }
    if !Namespace.isMain(namespace) {
      output.append(copying: namespace)
      output.append(UInt8(ascii: ","))
    }
    if let ackID { JSONNumber.append(ackID, to: &output) }
  }

  /// The arguments after a name, each with a comma before it, and the offset.
  static func appendArguments(_ list: Span<UInt8>, offset: [UInt8]?, to output: inout [UInt8]) {
    if list.count > 0 {
      output.append(UInt8(ascii: ","))
      output.append(copying: list)
    }
    appendOffset(offset, to: &output)
  }

  static func appendOffset(_ offset: [UInt8]?, to output: inout [UInt8]) {
    guard let offset else { return }
    output.append(",\"")
    output.append(contentsOf: offset)
    output.append(UInt8(ascii: "\""))
  }
}
