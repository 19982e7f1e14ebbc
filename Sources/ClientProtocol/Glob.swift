/// Patterns for names: `*` stands for any bytes, also none; every other byte stands for itself. Pure.
public enum Glob {
  /// Whether the whole of `name` fits. Takes at most `name.count * pattern.count` steps, whatever the pattern: only the last
  /// star is ever tried again.
  public static func matches(_ pattern: Span<UInt8>, _ name: Span<UInt8>) -> Bool {
    let star = UInt8(ascii: "*")
    var at = 0
    var next = 0
    var retry: (next: Int, at: Int)?
    while at < name.count {
      if next < pattern.count, pattern[next] == star {
        next += 1
        retry = (next, at)
      } else if next < pattern.count, pattern[next] == name[at] {
        next += 1
        at += 1
      } else if let last = retry {
        retry = (last.next, last.at + 1)
        next = last.next
        at = last.at + 1
      } else {
        return false
      }
    }
    while next < pattern.count, pattern[next] == star { next += 1 }
    return next == pattern.count
  }
}
