/// The slot of a Redis Cluster that a key or a sharded channel belongs to: CRC-16 of the part between its first `{` and
/// the next `}`, or of the whole when there is none or it is empty (Redis Cluster specification, key distribution model).
enum HashSlot {
  static let count = 16_384

  static func of(_ key: [UInt8]) -> Int { of(key[...]) }

  static func of(_ key: ArraySlice<UInt8>) -> Int {
    guard let open = key.firstIndex(of: 0x7B) else { return checksum(key) }
    let rest = key[(open + 1)...]
    guard let close = rest.firstIndex(of: 0x7D), close > rest.startIndex else { return checksum(key) }
    return checksum(rest[..<close])
  }

  /// The slot of the first key of a command as it is sent, or nil when it has none: the first argument, and of a script
  /// the first after the number of keys.
  static func ofCommand(_ bytes: [UInt8]) -> Int? {
    var reader = PartReader(bytes: bytes)
    guard let name = reader.next() else { return nil }
    let isScript = name.elementsEqual("EVALSHA".utf8) || name.elementsEqual("EVAL".utf8)
    for _ in 0..<(isScript ? 2 : 0) { _ = reader.next() }
    return reader.next().map(of)
  }

  /// The first parts of a command as it is sent.
  static func parts(ofCommand bytes: [UInt8], atMost count: Int) -> [[UInt8]] {
    var reader = PartReader(bytes: bytes)
    var parts: [[UInt8]] = []
    while parts.count < count, let part = reader.next() { parts.append(Array(part)) }
    return parts
  }

  /// Reads the bulk strings of one command that `CommandWriter` wrote.
  private struct PartReader {
    let bytes: [UInt8]
    private var at: Int

    init(bytes: [UInt8]) {
      self.bytes = bytes
      at = (bytes.firstIndex(of: 0x0A) ?? bytes.count) + 1
    }

    mutating func next() -> ArraySlice<UInt8>? {
      guard at < bytes.count else { return nil }
      var length = 0
      var index = at + 1
      while index < bytes.count, bytes[index] != 0x0D {
        length = length * 10 + Int(bytes[index] - 0x30)
        index += 1
      }
      let start = index + 2
      guard start + length <= bytes.count else { return nil }
      at = start + length + 2
      return bytes[start..<(start + length)]
    }
  }

  /// CRC-16/XMODEM: polynomial 0x1021, from zero.
  private static func checksum(_ bytes: ArraySlice<UInt8>) -> Int {
    var crc: UInt16 = 0
    for byte in bytes { crc = crc << 8 ^ table[Int(UInt8(truncatingIfNeeded: crc >> 8) ^ byte)] }
    return Int(crc) % count
  }

  private static let table: [UInt16] = (0..<256).map { byte in
    var crc = UInt16(byte) << 8
    for _ in 0..<8 { crc = crc & 0x8000 == 0 ? crc << 1 : crc << 1 ^ 0x1021 }
    return crc
  }
}
