import JSONCore

/// Finds what stands for bytes in a JSON text that was checked before: `{"$binary":base64}` in native messages,
/// `{"_placeholder":true,"num":n}` in packets. One pass, nothing allocated.
struct BinaryMarks: ~Escapable {
  enum Mark {
    /// An object with `$binary` as its only member, spelled without escapes, and a string: its digits.
    case binary(object: Range<Int>, digits: Range<Int>)
    /// An object with `_placeholder` and `num` as its only members.
    case placeholder(object: Range<Int>, number: UInt64)
    /// Any other object with a `_placeholder`. The official decoder takes it for a placeholder where its value is true, others
    /// where it is not false.
    case strayPlaceholder(isTrue: Bool)
  }

  private let text: Span<UInt8>
  private var position = 0

  @_lifetime(copy text)
  init(_ text: Span<UInt8>) {
    self.text = text
  }

  /// The next mark in the order of the text; nil after the last one.
  @_lifetime(self: copy self)
  mutating func next() -> Mark? {
    while position < text.count {
      switch text[position] {
      case UInt8(ascii: "{"):
        if let (mark, end) = object(at: position) {
          position = end
          return mark
        }
        position += 1
      case UInt8(ascii: "\""):
        let key = string(at: position)
        position = key.quoted.upperBound
        guard let value = valueStart(after: position), key.equals("_placeholder", in: text) else { continue }
        guard text[value] != UInt8(ascii: "f"), text[value] != UInt8(ascii: "n") else { continue }
        return .strayPlaceholder(isTrue: text[value] == UInt8(ascii: "t"))
      default: position += 1
      }
    }
    return nil
  }

  /// The mark that begins with the brace at `start`, and where it ends; nil when it is another object.
  private func object(at start: Int) -> (Mark, end: Int)? {
    guard let first = member(after: start + 1) else { return nil }
    if !first.key.hasEscapes, first.key.equals("$binary", in: text), text[first.value] == UInt8(ascii: "\"") {
      let digits = string(at: first.value)
      guard !digits.hasEscapes, let end = close(after: digits.quoted.upperBound) else { return nil }
      return (.binary(object: start..<end, digits: digits.contents), end)
    }
    guard let firstEnd = placeholderValueEnd(first) else { return nil }
    let comma = skippingWhitespace(from: firstEnd.end)
    guard text[comma] == UInt8(ascii: ","), let second = member(after: comma + 1),
      let secondEnd = placeholderValueEnd(second), let number = firstEnd.number ?? secondEnd.number,
      (firstEnd.number == nil) != (secondEnd.number == nil), let end = close(after: secondEnd.end)
    else { return nil }
    return (.placeholder(object: start..<end, number: number), end)
  }

  /// Where the value of `_placeholder`, true, or of `num`, a whole number, ends; nil for any other member.
  private func placeholderValueEnd(_ member: (key: JSONStringRange, value: Int)) -> (end: Int, number: UInt64?)? {
    if member.key.equals("_placeholder", in: text) {
      return text[member.value] == UInt8(ascii: "t") ? (member.value + 4, nil) : nil
    }
    guard member.key.equals("num", in: text) else { return nil }
    var end = member.value
    while end < text.count, text[end] &- UInt8(ascii: "0") < 10 { end += 1 }
    return JSONNumber.unsigned(text.extracting(member.value..<end)).map { (end, $0) }
  }

  private func member(after start: Int) -> (key: JSONStringRange, value: Int)? {
    let quote = skippingWhitespace(from: start)
    guard text[quote] == UInt8(ascii: "\"") else { return nil }
    let key = string(at: quote)
    return valueStart(after: key.quoted.upperBound).map { (key, $0) }
  }

  /// Where the value begins when a colon follows: only keys have one after them.
  private func valueStart(after end: Int) -> Int? {
    let colon = skippingWhitespace(from: end)
    guard colon < text.count, text[colon] == UInt8(ascii: ":") else { return nil }
    return skippingWhitespace(from: colon + 1)
  }

  private func close(after end: Int) -> Int? {
    let brace = skippingWhitespace(from: end)
    return text[brace] == UInt8(ascii: "}") ? brace + 1 : nil
  }

  private func skippingWhitespace(from start: Int) -> Int {
    var index = start
    while index < text.count, text[index] <= UInt8(ascii: " ") { index += 1 }
    return index
  }

  /// The string whose opening quote is at `start`.
  private func string(at start: Int) -> JSONStringRange {
    var index = start + 1
    var hasEscapes = false
    while text[index] != UInt8(ascii: "\"") {
      let isEscape = text[index] == UInt8(ascii: "\\")
      hasEscapes = hasEscapes || isEscape
      index += isEscape ? 2 : 1
    }
    return JSONStringRange(contents: start + 1..<index, hasEscapes: hasEscapes)
  }
}

/// The objects that stand for a packet's attachments.
enum Placeholders {
  /// Whether a payload has exactly one placeholder for each of `count` attachments, and nothing else that the official
  /// decoder would take for one.
  static func areComplete(in payload: Span<UInt8>, count: Int) -> Bool {
    var seen: UInt16 = 0
    var marks = BinaryMarks(payload)
    while let mark = marks.next() {
      switch mark {
      case .binary: continue
      case .strayPlaceholder(let isTrue): if isTrue { return false }
      case .placeholder(_, let number):
        guard number < UInt64(count), seen & 1 << number == 0 else { return false }
        seen |= 1 << number
      }
    }
    return seen == 1 << count - 1
  }

  /// Appends `json` with `{"$binary":base64}` in place of its placeholders; without attachments as it stands.
  static func appendResolved(_ json: Span<UInt8>, attachments: [[UInt8]], to output: inout [UInt8]) {
    var start = 0
    if !attachments.isEmpty {
      var marks = BinaryMarks(json)
      while let mark = marks.next() {
        guard case .placeholder(let object, let number) = mark, number < UInt64(attachments.count) else { continue }
        output.append(copying: json.extracting(start..<object.lowerBound))
        output.append("{\"$binary\":\"")
        let attachment = attachments[Int(number)]
        Base64.append(attachment.span, to: &output)
        output.append("\"}")
        start = object.upperBound
      }
    }
    output.append(copying: json.extracting(start..<json.count))
  }
}
