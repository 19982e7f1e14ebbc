// The text forms of addresses: read as RFC 4291 section 2.2 allows, written as RFC 5952 section 4 wants.

extension IPAddress {
  /// Reads a numeric address without brackets and port. A zone (`%eth0`, RFC 4007 section 11) is dropped: it means
  /// something on one machine only.
  public init?(text: Span<UInt8>) {
    var isIPv6 = false
    for i in text.indices where text[i] == UInt8(ascii: ":") { isIPv6 = true }
    guard let address = isIPv6 ? IPAddress.readIPv6(text) : IPAddress.readIPv4(text).map(IPAddress.init(v4:)) else {
      return nil
    }
    self = address
  }

  public init?(_ text: String) {
    let bytes = Array(text.utf8)
    self.init(text: bytes.span)
  }

  /// Four decimal numbers; none with a leading zero, which some would read as octal (RFC 6943 section 3.1.1).
  private static func readIPv4(_ text: Span<UInt8>) -> UInt32? {
    var bits: UInt32 = 0
    var parts = 0
    var i = 0
    while parts < 4 {
      let start = i
      var value: UInt32 = 0
      while i < text.count, text[i] >= 0x30, text[i] <= 0x39, i - start < 3 {
        value = value * 10 + UInt32(text[i] - 0x30)
        i += 1
      }
      guard i > start, value <= 255, i - start == 1 || text[start] != 0x30 else { return nil }
      bits = bits << 8 | value
      parts += 1
      guard parts < 4 else { break }
      guard i < text.count, text[i] == UInt8(ascii: ".") else { return nil }
      i += 1
    }
    return i == text.count ? bits : nil
  }

  private static func readIPv6(_ text: Span<UInt8>) -> IPAddress? {
    let colon = UInt8(ascii: ":")
    var end = text.count
    for i in text.indices.reversed() where text[i] == UInt8(ascii: "%") { end = i }
    guard end >= 2 else { return nil }
    var groups = InlineArray<8, UInt16>(repeating: 0)
    var count = 0
    /// How many groups stand before `::`.
    var gap: Int?
    var i = 0
    if text[0] == colon {
      guard text[1] == colon else { return nil }
      gap = 0
      i = 2
    }
    while i < end {
      guard count < 8 else { return nil }
      let start = i
      var value: UInt16 = 0
      while i < end, i - start < 4, let digit = hexValue(text[i]) {
        value = value << 4 | UInt16(digit)
        i += 1
      }
      if i < end, text[i] == UInt8(ascii: ".") {
        // The last 32 bits may be written as an IPv4 address.
        guard count <= 6, let bits = readIPv4(text.extracting(start..<end)) else { return nil }
        groups[count] = UInt16(bits >> 16)
        groups[count + 1] = UInt16(bits & 0xFFFF)
        count += 2
        break
      }
      guard i > start else { return nil }
      groups[count] = value
      count += 1
      guard i < end else { break }
      guard text[i] == colon, i + 1 < end else { return nil }
      i += 1
      guard text[i] == colon else { continue }
      guard gap == nil else { return nil }
      gap = count
      i += 1
    }
    return assemble(groups, count: count, gap: gap)
  }

  private static func assemble(_ groups: InlineArray<8, UInt16>, count: Int, gap: Int?) -> IPAddress? {
    guard gap == nil ? count == 8 : count < 8 else { return nil }
    let before = gap ?? 8
    var (high, low): (UInt64, UInt64) = (0, 0)
    for place in 0..<8 {
      let behind = place - (8 - count)
      let group = place < before ? groups[place] : behind >= before ? groups[behind] : 0
      if place < 4 { high = high << 16 | UInt64(group) } else { low = low << 16 | UInt64(group) }
    }
    return IPAddress(high: high, low: low)
  }

  private static func hexValue(_ byte: UInt8) -> UInt8? {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
    case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
    case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
    default: nil
    }
  }

  /// The one text of the address (RFC 5952 section 4); IPv4 in dotted form, also when it came mapped.
  public var text: [UInt8] {
    if isIPv4 {
      let parts = [24, 16, 8, 0].map { String(UInt8(truncatingIfNeeded: low >> UInt64($0))) }
      return Array(parts.joined(separator: ".").utf8)
    }
    let groups = (0..<8).map { place in
      UInt16(truncatingIfNeeded: (place < 4 ? high : low) >> UInt64(48 - 16 * (place % 4)))
    }
    let gap = IPAddress.longestRunOfZeros(groups)
    var text = ""
    var place = 0
    while place < 8 {
      if let gap, place == gap.lowerBound {
        text += "::"
        place = gap.upperBound
      } else {
        if !text.isEmpty, !text.hasSuffix("::") { text += ":" }
        text += String(groups[place], radix: 16)
        place += 1
      }
    }
    return Array(text.utf8)
  }

  /// RFC 5952 section 4.2: the longest run of at least two zero groups, the first of several.
  private static func longestRunOfZeros(_ groups: [UInt16]) -> Range<Int>? {
    var best: Range<Int>?
    var start = 0
    while start < 8 {
      var end = start
      while end < 8, groups[end] == 0 { end += 1 }
      if end - start >= 2, end - start > (best?.count ?? 0) { best = start..<end }
      start = max(end, start + 1)
    }
    return best
  }
}
