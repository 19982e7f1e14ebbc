/// Reads and writes durations and sizes as people write them in settings.
public enum Quantity {
  private static let durationUnits: [(suffix: StaticString, milliseconds: Int)] = [
    ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
  ]
  private static let sizeUnits: [(suffix: String, bytes: Int)] = [("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)]

  /// Reads `500ms`, `30s`, `5m`, `1h`, `7d` as milliseconds; nil for anything else, a bare number other than 0 included.
  public static func milliseconds(_ text: String) -> Int? {
    milliseconds(Array(text.utf8))
  }

  /// The same for text that is not a String: the duration of a request, which should cost it little.
  public static func milliseconds(_ text: [UInt8]) -> Int? {
    guard text != [UInt8(ascii: "0")] else { return 0 }
    var count = 0
    var digits = 0
    while digits < text.count, case let digit = text[digits] &- UInt8(ascii: "0"), digit <= 9 {
      let (tens, hasOverflowed) = count.multipliedReportingOverflow(by: 10)
      let (sum, isTooLarge) = tens.addingReportingOverflow(Int(digit))
      guard !hasOverflowed, !isTooLarge else { return nil }
      count = sum
      digits += 1
    }
    let suffix = text[digits...]
    guard digits > 0,
      let unit = durationUnits.first(where: { unit in unit.suffix.withUTF8Buffer { suffix.elementsEqual($0) } })
    else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit.milliseconds)
    return overflow ? nil : product
  }

  /// Reads `512`, `64k`, `1m`, `2g` as bytes, the suffix in either case; nil for anything else.
  public static func bytes(_ text: String) -> Int? {
    guard let (count, suffix) = split(text) else { return nil }
    if suffix.isEmpty { return count }
    guard let unit = sizeUnits.first(where: { $0.suffix == suffix.lowercased() }) else { return nil }
    let (product, overflow) = count.multipliedReportingOverflow(by: unit.bytes)
    return overflow ? nil : product
  }

  /// Reads decimal digits with at most one minus sign before them.
  public static func integer(_ text: String) -> Int? {
    guard text.utf8.first != UInt8(ascii: "+") else { return nil }
    return Int(text)
  }

  /// Reads a decimal number such as `0.01` or `1e-3`; nil for anything else, what is not finite included.
  public static func decimal(_ text: String) -> Double? {
    // Double takes more: hexadecimal digits, `nan`.
    guard text.utf8.first != UInt8(ascii: "+"), text.allSatisfy({ "0123456789.eE+-".contains($0) }) else { return nil }
    return Double(text).flatMap { $0.isFinite ? $0 : nil }
  }

  /// Writes a number without a fraction where it has none.
  public static func text(decimal: Double) -> String { Int(exactly: decimal).map { "\($0)" } ?? "\(decimal)" }

  /// Reads `on`, `off` and their usual synonyms.
  public static func toggle(_ text: String) -> Bool? {
    switch text.lowercased() {
    case "on", "true", "yes", "1": true
    case "off", "false", "no", "0": false
    default: nil
    }
  }

  /// Writes a duration with the largest unit that leaves no remainder; one day is 24h.
  public static func text(milliseconds: Int) -> String {
    guard milliseconds != 0 else { return "0" }
    for unit in durationUnits
    where milliseconds % unit.milliseconds == 0 && (unit.milliseconds < 86_400_000 || milliseconds > 86_400_000) {
      return "\(milliseconds / unit.milliseconds)\(unit.suffix)"
    }
    return "\(milliseconds)ms"
  }

  /// Writes a size with the largest unit that leaves no remainder.
  public static func text(bytes: Int) -> String {
    for unit in sizeUnits where bytes != 0 && bytes % unit.bytes == 0 { return "\(bytes / unit.bytes)\(unit.suffix)" }
    return "\(bytes)"
  }

  private static func split(_ text: String) -> (count: Int, suffix: String)? {
    let digits = text.utf8.prefix { $0 >= UInt8(ascii: "0") && $0 <= UInt8(ascii: "9") }
    guard !digits.isEmpty, let count = Int(Substring(digits)) else { return nil }
    return (count, String(Substring(text.utf8[digits.endIndex...])))
  }
}
