import JSONCore
import LoopCore
import Realtime

/// The secret part of a session id of Engine.IO: 128 random bits.
struct EngineKey: Equatable {
  private let high: UInt64
  private let low: UInt64

  /// Draws a key from the system's generator, which is one for secrets.
  init() {
    var generator = SystemRandomNumberGenerator()
    (high, low) = (generator.next(), generator.next())
  }

  fileprivate init(high: UInt64, low: UInt64) { (self.high, self.low) = (high, low) }

  /// Takes the same time whatever differs: who knows the key is the client.
  static func == (a: EngineKey, b: EngineKey) -> Bool { (a.high ^ b.high) | (a.low ^ b.low) == 0 }

  fileprivate func append(to output: inout [UInt8]) {
    EngineID.append(high, to: &output)
    EngineID.append(low, to: &output)
  }
}

/// The session id of Engine.IO (`sid`): the id of the node that holds the connection, a dash, the place of the connection
/// there, and its key. It is a credential, so it is never logged. Pure.
struct EngineID {
  let connection: SlabID
  let key: EngineKey

  /// Digits of the numbers that stand after the dash: the place and the two halves of the key, of 16 each.
  private static let digits = 48

  /// The text of the id.
  func text(node: [UInt8]) -> [UInt8] {
    var text: [UInt8] = []
    text.reserveCapacity(node.count + 1 + EngineID.digits)
    text += node
    text.append(UInt8(ascii: "-"))
    EngineID.append(connection.word, to: &text)
    key.append(to: &text)
    return text
  }

  /// The id of the node that made an id; nil: it is no id.
  static func node(of text: [UInt8]) -> [UInt8]? {
    guard text.count > digits + 1, text[text.count - digits - 1] == UInt8(ascii: "-") else { return nil }
    return Array(text.dropLast(digits + 1))
  }

  /// Reads what `text(node:)` writes, whatever the node; nil for anything else.
  init?(_ text: [UInt8]) {
    guard EngineID.node(of: text) != nil else { return nil }
    var numbers: [UInt64] = []
    for start in stride(from: text.count - EngineID.digits, to: text.count, by: 16) {
      guard let number = EngineID.number(text[start..<(start + 16)]) else { return nil }
      numbers.append(number)
    }
    connection = SlabID(word: numbers[0])
    key = EngineKey(high: numbers[1], low: numbers[2])
  }

  init(connection: SlabID, key: EngineKey) { (self.connection, self.key) = (connection, key) }

  fileprivate static func append(_ number: UInt64, to output: inout [UInt8]) {
    for shift in stride(from: 60, through: 0, by: -4) {
      let digit = UInt8(truncatingIfNeeded: number >> UInt64(shift)) & 15
      output.append(digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10)
    }
  }

  private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
    var number: UInt64 = 0
    for digit in digits {
      switch digit {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
      default: return nil
      }
    }
    return number
  }
}
