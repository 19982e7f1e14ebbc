extension [UInt8] {
  /// Makes an array of a span's bytes.
  @inlinable
  package init(copying span: Span<UInt8>) {
    // Safe because the pointer is used inside the closure only, while the span keeps its bytes alive.
    self = unsafe span.withUnsafeBufferPointer { unsafe [UInt8]($0) }
  }

  /// Appends a span's bytes in one copy.
  @inlinable
  package mutating func append(copying span: Span<UInt8>) {
    // Safe because the pointer is used inside the closure only, while the span keeps its bytes alive.
    unsafe span.withUnsafeBufferPointer { unsafe append(contentsOf: $0) }
  }

  /// Appends the bytes of a literal.
  @inlinable
  package mutating func append(_ literal: StaticString) {
    // Safe because the pointer is used inside the closure only.
    literal.withUTF8Buffer { unsafe append(contentsOf: $0) }
  }
}
