/// What a message of the generator says about itself: its number in its room, and when it was meant to be sent.
struct Stamp: Equatable {
  /// 1, 2, 3 … in each room; 0 for a probe.
  let sequence: UInt32
  /// Nanoseconds of the monotonic clock.
  let time: UInt64
}

/// Finds stamps in messages without reading their JSON: millions of deliveries a second leave no time for that.
struct StampReader {
  private static let keyBytes = 6
  /// Where the last stamp stood: the next message usually has it in the same place.
  private var hint = 0

  /// Finds `"seq":N,"t":N`; nil when the message has no stamp.
  mutating func read(_ message: Span<UInt8>) -> Stamp? {
    let hint = hint
    // Safe because every load is checked against the count of the buffer, which is used only inside the closure.
    let found = message.withUnsafeBytes { bytes -> (at: Int, stamp: Stamp)? in
      guard let position = StampReader.find(in: bytes, hint: hint) else { return nil }
      var cursor = position + StampReader.keyBytes
      guard let sequence = StampReader.digits(bytes, &cursor), sequence <= UInt64(UInt32.max) else { return nil }
      // `,"t":`
      guard cursor + 5 < bytes.count, bytes[cursor + 2] == UInt8(ascii: "t") else { return nil }
      cursor += 5
      guard let time = StampReader.digits(bytes, &cursor) else { return nil }
      return (position, Stamp(sequence: UInt32(sequence), time: time))
    }
    guard let found else { return nil }
    self.hint = found.at
    return found.stamp
  }

  private static func find(in bytes: UnsafeRawBufferPointer, hint: Int) -> Int? {
    let last = bytes.count - keyBytes
    if hint <= last, isKey(bytes, hint) { return hint }
    var index = 0
    while index <= last {
      if isKey(bytes, index) { return index }
      index += 1
    }
    return nil
  }

  /// Compares with `"seq":`; the caller has checked that six bytes are there.
  private static func isKey(_ bytes: UnsafeRawBufferPointer, _ index: Int) -> Bool {
    bytes.loadUnaligned(fromByteOffset: index, as: UInt32.self).littleEndian == 0x7165_7322
      && bytes.loadUnaligned(fromByteOffset: index + 4, as: UInt16.self).littleEndian == 0x3A22
  }

  private static func digits(_ bytes: UnsafeRawBufferPointer, _ cursor: inout Int) -> UInt64? {
    var value: UInt64 = 0
    let start = cursor
    while cursor < bytes.count {
      let digit = bytes[cursor] &- 0x30
      guard digit < 10 else { break }
      value = value &* 10 &+ UInt64(digit)
      cursor += 1
    }
    return cursor > start && cursor - start < 20 ? value : nil
  }
}

/// Writes messages of one size that carry a stamp.
struct StampWriter {
  private let head: [UInt8]
  private let tail: [UInt8]
  private let messageBytes: Int
  private var body: [UInt8] = []

  /// `head` ends with the beginning of a JSON object, up to its first own member; `tail` follows the object.
  init(head: String, tail: String = "", messageBytes: Int) {
    self.head = Array(head.utf8)
    self.tail = Array(tail.utf8)
    self.messageBytes = messageBytes
  }

  /// Writes a message, padded to its size, and shows it to `use`.
  mutating func write(_ stamp: Stamp, _ use: (Span<UInt8>) -> Void) {
    body.removeAll(keepingCapacity: true)
    body.append(contentsOf: head)
    body.append(contentsOf: StampWriter.sequenceKey)
    append(UInt64(stamp.sequence))
    body.append(contentsOf: StampWriter.timeKey)
    append(stamp.time)
    body.append(contentsOf: StampWriter.paddingKey)
    var left = messageBytes - body.count - 2 - tail.count
    while left > 0 {
      body.append(contentsOf: StampWriter.padding[..<min(left, StampWriter.padding.count)])
      left -= StampWriter.padding.count
    }
    body.append(UInt8(ascii: "\""))
    body.append(UInt8(ascii: "}"))
    body.append(contentsOf: tail)
    use(body.span)
  }

  private static let sequenceKey = Array("\"seq\":".utf8)
  private static let timeKey = Array(",\"t\":".utf8)
  private static let paddingKey = Array(",\"pad\":\"".utf8)
  private static let padding = [UInt8](repeating: UInt8(ascii: "x"), count: 4096)

  /// Appends a number in decimal digits. A String for each message would be a tenth of what the generator does by itself.
  private mutating func append(_ number: UInt64) {
    let start = body.count
    var rest = number
    repeat {
      body.append(UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10))
      rest /= 10
    } while rest > 0
    body[start...].reverse()
  }
}
