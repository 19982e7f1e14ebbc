extension JSONScanner {
  /// The name of a member that stands twice in one object, at any depth; nil: none does. Readers differ in which of the two
  /// they take, so a text that is checked here and read elsewhere should have none. The text must be valid JSON already.
  public static func repeatedMember(in text: Span<UInt8>) -> [UInt8]? {
    // The names in each object that is open; an array has none.
    var open: [Set<[UInt8]>] = []
    var position = 0
    while position < text.count {
      let byte = text[position]
      position += 1
      switch byte {
      case UInt8(ascii: "{"), UInt8(ascii: "["): open.append([])
      case UInt8(ascii: "}"), UInt8(ascii: "]"): _ = open.popLast()
      case ASCII.quote:
        let string = stringEnding(in: text, from: &position)
        guard isKey(endingAt: position, in: text), let last = open.indices.last else { continue }
        // A name that is no text is compared as it is written.
        let name = string.decoded(in: text) ?? [UInt8](copying: text.extracting(string.contents))
        guard open[last].insert(name).inserted else { return name }
      default: break
      }
    }
    return nil
  }

  /// Moves from the first byte of a string to after its closing quote.
  private static func stringEnding(in text: Span<UInt8>, from position: inout Int) -> JSONStringRange {
    let start = position
    var hasEscapes = false
    while position < text.count, text[position] != ASCII.quote {
      let isEscape = text[position] == UInt8(ascii: "\\")
      hasEscapes = hasEscapes || isEscape
      position += isEscape ? 2 : 1
    }
    let end = min(position, text.count)
    position = end + 1
    return JSONStringRange(contents: start..<end, hasEscapes: hasEscapes)
  }

  /// Whether the string before a position is a name: a colon follows names only.
  private static func isKey(endingAt position: Int, in text: Span<UInt8>) -> Bool {
    var position = position
    while position < text.count, text[position] <= UInt8(ascii: " ") { position += 1 }
    return position < text.count && text[position] == UInt8(ascii: ":")
  }
}
