import ClientProtocol
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
  /// What a room's name must be, for the messages of errors.
  public static let roomRule: StaticString =
    "a room has a name; in the main namespace it does not begin with /, as rooms of other namespaces do"

  /// Whether `name`, which is UTF-8, can be a namespace: it begins with a slash, has at most ``bytesMax`` bytes, and neither
  /// control characters nor `,`, `#`, `*`.
  public static func isValid(_ name: Span<UInt8>) -> Bool {
    guard name.count > 0, name.count <= bytesMax, name[0] == UInt8(ascii: "/") else { return false }
    for index in name.indices {
      switch name[index] {
      case 0..<0x20, 0x7F, UInt8(ascii: ","), separator, UInt8(ascii: "*"): return false
      case 0xC2 where index + 1 < name.count && name[index + 1] < 0xA0: return false
      default: continue
      }
    }
    return true
  }

  /// Whether it is the main namespace: `/`, or no name at all.
  public static func isMain(_ namespace: Span<UInt8>) -> Bool {
    namespace.count == 0 || namespace.count == 1 && namespace[0] == UInt8(ascii: "/")
  }

  /// Appends the native name of the namespace's default room.
  public static func appendDefaultRoom(of namespace: Span<UInt8>, to output: inout [UInt8]) {
    if isMain(namespace) { output.append(mainDefaultRoom) } else { output.append(copying: namespace) }
  }

  /// Appends the native name of a room of the namespace. False, and nothing appended: it is no name of a room there
  /// (``roomRule``). The caller checks the result as any room's name.
  public static func appendNativeRoom(
    _ local: Span<UInt8>, in namespace: Span<UInt8>, to output: inout [UInt8]
  ) -> Bool {
    guard local.count > 0 else { return false }
    if isMain(namespace) {
      guard local[0] != UInt8(ascii: "/") else { return false }
    } else {
      output.append(copying: namespace)
      output.append(separator)
    }
    output.append(copying: local)
    return true
  }

  /// Where a native room belongs: its namespace, empty for the main one, and its name there, empty for the default room.
  /// Both are ranges of `room`. A room that no namespace can name, such as `/` or `/#a`, counts as one of the main namespace.
  public static func location(ofNative room: Span<UInt8>) -> (namespace: Range<Int>, local: Range<Int>) {
    var end = 0
    while end < room.count, room[end] != separator { end += 1 }
    let rest = min(end + 1, room.count)
    if end > 1, isValid(room.extracting(0..<end)), end == room.count || rest < room.count {
      return (0..<end, rest..<room.count)
    }
    let isDefault = JSONString.equals(room, mainDefaultRoom)
    return (0..<0, isDefault ? 0..<0 : 0..<room.count)
  }

  private static let separator = UInt8(ascii: "#")
}

/// The namespaces that may be connected to: names and globs, `*` for any bytes.
public struct NamespaceList: Equatable, Sendable {
  /// Allows every namespace.
  public static let all = NamespaceList(patterns: [[UInt8(ascii: "*")]])
  /// What the protocol's own test suite connects to, and nothing else: it expects others to be refused.
  public static let conformance = NamespaceList(patterns: [Array("/".utf8), Array("/custom".utf8)])

  private let patterns: [[UInt8]]

  public init(patterns: [[UInt8]]) { self.patterns = patterns }

  /// Reads a list with commas between its patterns, each of which begins with `/` or `*`; spaces around them are left out.
  /// Fails with the first pattern that matches no namespace.
  public static func parse(_ list: Span<UInt8>) -> Result<NamespaceList, UnusablePattern> {
    let bytes = [UInt8](copying: list)
    var patterns: [[UInt8]] = []
    for item in bytes.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
      let pattern = Array(item.trimmingSpaces())
      guard pattern.first == UInt8(ascii: "/") || pattern.first == UInt8(ascii: "*"),
        !pattern.contains(UInt8(ascii: "#"))
      else { return .failure(UnusablePattern(pattern: pattern)) }
      patterns.append(pattern)
    }
    return .success(NamespaceList(patterns: patterns))
  }

  /// Whether a valid namespace is listed; no name at all is `/`.
  public func allows(_ namespace: Span<UInt8>) -> Bool {
    let main: [UInt8] = [UInt8(ascii: "/")]
    let name = namespace.count == 0 ? main.span : namespace
    for pattern in patterns where Glob.matches(pattern.span, name) { return true }
    return false
  }

  /// A pattern that matches no namespace.
  public struct UnusablePattern: Error, Equatable, Sendable {
    public let pattern: [UInt8]
  }
}

extension ArraySlice<UInt8> {
  fileprivate func trimmingSpaces() -> ArraySlice<UInt8> {
    let space = UInt8(ascii: " ")
    let start = drop { $0 == space }
    guard let last = start.lastIndex(where: { $0 != space }) else { return [] }
    return start[...last]
  }
}
