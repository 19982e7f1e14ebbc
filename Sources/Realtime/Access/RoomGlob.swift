import ClientProtocol

/// A pattern for room names, as ``Glob`` reads it. Pure.
public struct RoomGlob: Equatable, Sendable {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Whether the whole of `name` fits.
  public func matches(_ name: Span<UInt8>) -> Bool { Glob.matches(bytes.span, name) }
}
