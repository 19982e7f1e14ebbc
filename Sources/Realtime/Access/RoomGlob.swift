/// A pattern for room names: `*` stands for any bytes, also none; every other byte stands for itself. Pure.
public struct RoomGlob: Equatable, Sendable {
  public let bytes: [UInt8]

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// Whether the whole of `name` fits. Takes at most `name.count * bytes.count` steps, whatever the pattern:
  /// only the last star is ever tried again.
  public func matches(_ name: Span<UInt8>) -> Bool {
    let star = UInt8(ascii: "*")
    var at = 0
    var pattern = 0
    var retry: (pattern: Int, at: Int)?
    while at < name.count {
      if pattern < bytes.count, bytes[pattern] == star {
        retry = (pattern + 1, at)
        pattern += 1
      } else if pattern < bytes.count, bytes[pattern] == name[at] {
        pattern += 1
        at += 1
      } else if let last = retry {
        retry = (last.pattern, last.at + 1)
        pattern = last.pattern
        at = last.at + 1
      } else {
        return false
      }
    }
    while pattern < bytes.count, bytes[pattern] == star { pattern += 1 }
    return pattern == bytes.count
  }
}
