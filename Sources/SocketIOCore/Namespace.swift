import JSONCore

/// Namespaces of Socket.IO and the rooms of Roost that belong to them.
///
/// The main namespace `/` uses room names as they are, with `socketio` as its default room; those that begin with a slash
/// belong to other namespaces. Namespace `/chat` has the default room `/chat` and puts `/chat#` before its rooms.
/// `namespace` is empty or `/` for the main one everywhere.
public enum Namespace {
  /// The longest name in bytes: half of what a room's name may have, so that rooms have the other half.
  public static let bytesMax = 100
  /// The default room of the main namespace.
  public static let mainDefaultRoom: StaticString = "socketio"

  /// Whether `name` can be a namespace: it begins with a slash, has at most ``bytesMax`` bytes of UTF-8, and neither control
  /// characters nor `,`, `#`, `*`.
  public static func isValid(_ name: Span<UInt8>) -> Bool { fatalError() }

  public static func isMain(_ namespace: Span<UInt8>) -> Bool { fatalError() }

  /// Appends the native name of the namespace's default room.
  public static func appendDefaultRoom(of namespace: Span<UInt8>, to output: inout [UInt8]) { fatalError() }

  /// Appends the native name of a room of the namespace. False, and nothing appended: the name belongs to another
  /// namespace (it begins with a slash in the main one). The caller checks the result as any room's name.
  public static func appendNativeRoom(
    _ local: Span<UInt8>, in namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> Bool { fatalError() }

  /// Where a native room belongs: its namespace, empty for the main one, and its name there, empty for the default room.
  /// Both are ranges of `room`.
  public static func location(ofNative room: Span<UInt8>) -> (namespace: Range<Int>, local: Range<Int>) { fatalError() }
}

/// The namespaces that may be connected to: names and globs, `*` for any bytes.
public struct NamespaceList: Equatable, Sendable {
  /// Allows every namespace.
  public static let all = NamespaceList(patterns: [[UInt8(ascii: "*")]])

  public init(patterns: [[UInt8]]) { fatalError() }

  /// Reads a list with commas between its patterns, each of which begins with a slash or is `*`; the text of the first
  /// pattern that can match nothing otherwise.
  public static func parse(_ list: Span<UInt8>) -> Result<NamespaceList, UnusablePattern> { fatalError() }

  /// Whether a valid namespace is listed.
  public func allows(_ namespace: Span<UInt8>) -> Bool { fatalError() }

  /// A pattern that matches no namespace.
  public struct UnusablePattern: Error, Equatable, Sendable {
    public let pattern: [UInt8]
  }
}
