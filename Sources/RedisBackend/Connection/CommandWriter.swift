import JSONCore
import Realtime

/// Writes commands as RESP arrays of bulk strings, straight into a link's output buffer.
///
/// hiredis parses what Redis answers; its own formatter would allocate every command once more.
struct CommandWriter {
  /// What is not yet sent, commands whole.
  var bytes: [UInt8] = []
  /// Where the master tag of the last command stands in `bytes`, if it has one: a redirected command gets another.
  var masterTagStart: Int?

  /// Writes a master tag as a part of its own.
  mutating func bulk(masterTag: [UInt8]) {
    begin(masterTag.count)
    if !masterTag.isEmpty { masterTagStart = bytes.count }
    bytes.append(contentsOf: masterTag)
    endLine()
  }

  /// Writes an envelope after its master tag and a colon, or alone without one.
  mutating func bulk(_ envelope: [UInt8], masterTag: [UInt8]) {
    guard !masterTag.isEmpty else { return bulk(envelope) }
    begin(masterTag.count + 1 + envelope.count)
    masterTagStart = bytes.count
    bytes.append(contentsOf: masterTag)
    bytes.append(0x3A)
    bytes.append(contentsOf: envelope)
    endLine()
  }

  /// Begins a command of `count` parts, its name included. Exactly as many `bulk` must follow.
  mutating func command(parts count: Int) {
    bytes.append(0x2A)
    JSONNumber.append(UInt64(count), to: &bytes)
    endLine()
  }

  mutating func bulk(_ part: [UInt8]) {
    begin(part.count)
    bytes.append(contentsOf: part)
    endLine()
  }

  mutating func bulk(_ part: StaticString) {
    begin(part.utf8CodeUnitCount)
    append(part)
    endLine()
  }

  /// Writes one part that is put together from three, such as a key.
  mutating func bulk(_ prefix: [UInt8], _ middle: [UInt8], _ suffix: StaticString) {
    begin(prefix.count + middle.count + suffix.utf8CodeUnitCount)
    bytes.append(contentsOf: prefix)
    bytes.append(contentsOf: middle)
    append(suffix)
    endLine()
  }

  mutating func bulk(_ number: Int) {
    if (0..<10).contains(number) {
      begin(1)
      bytes.append(0x30 + UInt8(number))
      return endLine()
    }
    var digits: [UInt8] = []
    if number < 0 { digits.append(0x2D) }
    JSONNumber.append(UInt64(number.magnitude), to: &digits)
    bulk(digits)
  }

  mutating func bulk(_ flag: Bool) { bulk(flag ? "1" : "0") }

  private mutating func begin(_ count: Int) {
    bytes.append(0x24)
    JSONNumber.append(UInt64(count), to: &bytes)
    endLine()
  }

  private mutating func endLine() {
    bytes.append(0x0D)
    bytes.append(0x0A)
  }

  private mutating func append(_ text: StaticString) {
    // Safe because every caller passes a literal with pointer representation, whose bytes live as long as the process.
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
