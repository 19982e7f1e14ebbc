import JSONCore

/// Translates between events of Socket.IO and native messages: `"event":E,"args":[…]`, binary arguments as
/// `{"$binary":base64}` wherever they stand.
public enum EventMapping {
  /// Appends the members `"event":E,"args":[…]` of the native message that an ordinary event becomes, with neither braces
  /// nor a comma at either end.
  public static func appendMembers(
    of arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]], to output: inout [UInt8]
  ) { fatalError() }

  /// Appends the native operation, a JSON object, that a reserved event stands for.
  ///
  /// `join`, `leave`, `presence` and `history` take a room or an object with `room`, all others an object. A `room` is the
  /// namespace's local name; the operation has the native one. Members `type` and `id` of the object are left out. Binary
  /// arguments become `{"$binary":base64}`. What is wrong inside is left to the parser of operations.
  ///
  /// - Returns: nil, or a text that says what the event needs: answer it with `bad_request`; nothing was appended.
  public static func appendOperation(
    _ operation: EventOperation, _ arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]],
    namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> StaticString? { fatalError() }

  /// Adds a native message, a whole JSON object, as the event that Socket.IO clients get: its `event` with its `args` when it
  /// has both (a string that clients may emit, an array), their `{"$binary":…}` as attachments; else `fallback` with the
  /// object as the one argument.
  ///
  /// - Parameters:
  ///   - namespace: of the connections that it is sent to; empty or `/`: the main one.
  ///   - fallback: `message`, `direct`, `broadcast`, or the name of the server's event.
  ///   - offset: appended as one more argument, a string that needs no escapes; nil: none. A client with a `pid` takes the last
  ///     argument of any event, if it is a string, for its offset: give such clients one with every message.
  /// - Returns: whether it went as its own event.
  @discardableResult
  public static func appendEvent(
    native message: Span<UInt8>, namespace: Span<UInt8>, fallback: StaticString, offset: [UInt8]? = nil,
    to output: inout EncodedPackets
  ) -> Bool { fatalError() }
}
