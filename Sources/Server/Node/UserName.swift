import ClientProtocol
import Realtime

/// What may be a user's name: the same as a room's, so that both fit into keys and binary envelopes.
enum UserName {
  static let rule = "1 to 200 bytes of UTF-8 without control characters"

  static func isValid(_ name: [UInt8]) -> Bool { RoomName.isValid(name.span) }

  /// A name for a client that gave none: `guest-` and four letters or digits.
  static func guest() -> [UInt8] {
    let alphabet = Array("0123456789abcdefghijklmnopqrstuvwxyz".utf8)
    return Array("guest-".utf8) + (0..<4).map { _ in alphabet[Int.random(in: 0..<alphabet.count)] }
  }
}
