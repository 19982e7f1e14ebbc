/// Decimal text of unsigned numbers, without a String.
public enum Decimal {
  /// Appends the digits of `value`.
  public static func append(_ value: UInt64, to output: inout [UInt8]) {
    guard value >= 10 else { return output.append(0x30 + UInt8(truncatingIfNeeded: value)) }
    var digits: (UInt64, UInt64, UInt32) = (0, 0, 0)
    // Safe because 20 bytes hold any UInt64 and the tuple is written and read only inside the closure.
    withUnsafeMutableBytes(of: &digits) { buffer in
      var rest = value
      var at = 20
      while rest > 0 {
        at -= 1
        buffer[at] = 0x30 + UInt8(truncatingIfNeeded: rest % 10)
        rest /= 10
      }
      output.append(contentsOf: buffer[at..<20])
    }
  }

  /// Reads 1 to 20 digits, or nil for anything else, overflow included.
  public static func parse(_ bytes: Span<UInt8>) -> UInt64? {
    guard bytes.count > 0, bytes.count <= 20 else { return nil }
    var value: UInt64 = 0
    for i in 0..<bytes.count {
      guard bytes[i] >= 0x30, bytes[i] <= 0x39 else { return nil }
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(bytes[i] - 0x30))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return value
  }
}
