import JSONCore

/// Writes packets of Socket.IO, each with the `4` of the Engine.IO message around it, into ``EncodedPackets``.
///
/// `namespace` is empty or `/` for the main namespace. Payloads are JSON that is valid already. Attachments may be left in
/// JSON as `{"$binary":base64}`: ``appendEvent`` and ``appendAck`` take them out (``BinaryMember``).
public enum PacketWriter {
  /// Accepts a connection to a namespace. `pid`: of a connection that can be recovered.
  public static func appendConnect(
    namespace: Span<UInt8>, sid: Span<UInt8>, pid: [UInt8]? = nil, to output: inout EncodedPackets
  ) { fatalError() }

  /// Refuses a connection to a namespace: `{"message":M}`, with `code` also `"data":{"code":C}`.
  public static func appendConnectError(
    namespace: Span<UInt8>, message: Span<UInt8>, code: [UInt8]? = nil, to output: inout EncodedPackets
  ) { fatalError() }

  public static func appendDisconnect(namespace: Span<UInt8>, to output: inout EncodedPackets) { fatalError() }

  /// An event of the server's own: its name and one argument, a JSON value that stands as it is.
  public static func appendEvent(
    _ name: StaticString, argument: Span<UInt8>, namespace: Span<UInt8>, to output: inout EncodedPackets
  ) { fatalError() }

  /// An ack with the arguments `list`: JSON values with commas between them, no brackets, perhaps none.
  public static func appendAck(
    _ id: UInt64, list: Span<UInt8>, namespace: Span<UInt8>, to output: inout EncodedPackets
  ) { fatalError() }

  /// Repeats an event's or an ack's arguments and attachments under another name: `message` as `message-back`, for instance.
  public static func appendEvent(
    _ name: StaticString, repeating arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout EncodedPackets
  ) { fatalError() }

  /// Acks an event with its own arguments and attachments.
  public static func appendAck(
    _ id: UInt64, repeating arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout EncodedPackets
  ) { fatalError() }
}
