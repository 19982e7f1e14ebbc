/// Makes text that came from others safe to show on a terminal: the one function for everything that is printed.
///
/// Written as an escape, `\u202e` as in JSON (RFC 8259 section 7), is whatever steers a terminal or does not show itself:
/// control characters (C0 but for line ends where they are asked for, DEL, C1), bidirectional controls, line and paragraph
/// separators, and everything that Unicode calls ignorable by default (zero-width characters, tags, fillers). In JSON such
/// characters can only stand inside strings, so the escaped text has the same value.
public enum TerminalText {
  /// Escapes a text of one line: a line end in it is escaped as well.
  public static func line(_ text: String) -> String { escaped(text, keepsLineEnds: false) }

  /// Escapes a text of several lines, and keeps its line ends.
  public static func lines(_ text: String) -> String { escaped(text, keepsLineEnds: true) }

  /// Escapes valid JSON and puts it on one line: line ends and tabs stand between its tokens only, where a space means
  /// the same (RFC 8259 section 2).
  public static func json(_ text: [UInt8]) -> [UInt8] {
    if text.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
    let oneLine = text.map { [0x0A, 0x0D, 0x09].contains($0) ? UInt8(ascii: " ") : $0 }
    return Array(line(String(decoding: oneLine, as: UTF8.self)).utf8)
  }

  private static func escaped(_ text: String, keepsLineEnds: Bool) -> String {
    let isPlain = text.utf8.allSatisfy { (0x20...0x7E).contains($0) || keepsLineEnds && $0 == 0x0A }
    if isPlain { return text }
    let scalars = Array(text.unicodeScalars)
    var safe = String.UnicodeScalarView()
    for (index, scalar) in scalars.enumerated() {
      let isKept = isVisible(scalar) || keepsLineEnds && scalar == "\n" || isPartOfEmoji(index, scalars)
      if isKept { safe.append(scalar) } else { safe.append(contentsOf: escape(scalar).unicodeScalars) }
    }
    return String(safe)
  }

  private static func isVisible(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.properties.generalCategory {
    case .control, .format, .surrogate, .lineSeparator, .paragraphSeparator: false
    default: !scalar.properties.isDefaultIgnorableCodePoint
    }
  }

  /// Whether an invisible character is one that emoji are made with: the variation selector behind an emoji, or the
  /// joiner between two.
  private static func isPartOfEmoji(_ index: Int, _ scalars: [Unicode.Scalar]) -> Bool {
    guard index > 0 else { return false }
    switch scalars[index] {
    case "\u{FE0F}": return isEmoji(scalars[index - 1])
    case "\u{200D}":
      let isBehind = isEmoji(scalars[index - 1]) || scalars[index - 1] == "\u{FE0F}"
      return isBehind && index + 1 < scalars.count && isEmoji(scalars[index + 1])
    default: return false
    }
  }

  /// Digits and other ASCII characters count as emoji for Unicode, because keycaps are made of them.
  private static func isEmoji(_ scalar: Unicode.Scalar) -> Bool { scalar.properties.isEmoji && scalar.value > 0xFF }

  private static func escape(_ scalar: Unicode.Scalar) -> String {
    // Safe text needs no surrogate for what one unit holds; JSON writes the others as two.
    String(scalar).utf16.map { unit in
      let digits = String(unit, radix: 16)
      return "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    }.joined()
  }
}
