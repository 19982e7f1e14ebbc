import JSONCore

/// What an event's name means when a client emits it.
public enum EventName: Equatable, Sendable {
  /// For the namespace's default room.
  case ordinary
  /// One of Roost's own operations.
  case operation(EventOperation)
  /// Of the server only, or reserved by Socket.IO: refused with `forbidden`. No native message reaches Socket.IO clients
  /// under such a name either.
  case forbidden
  /// No string, or with half of a surrogate pair: refused with `bad_request`.
  case invalid

  /// Tells what a client's event is.
  public init(of arguments: PacketArguments, in text: Span<UInt8>) { fatalError() }

  /// Tells what a name is, escapes resolved.
  public init(_ name: Span<UInt8>) { fatalError() }

  /// The names that Socket.IO keeps for itself; the official decoder refuses events of these names.
  public static let reservedBySocketIO: [StaticString] = [
    "connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
  ]
}

/// Roost's operations that are events of Socket.IO.
public enum EventOperation: UInt8, CaseIterable, Sendable {
  case join, leave, message, direct, broadcast, presence, history, request

  public var name: StaticString { fatalError() }
}
