/// The value of a header such as `t=1492774577,v1=5257a8…`: when a body was signed, and the HMAC-SHA256 of that time, a dot
/// and the body, in hexadecimal. Several `v1` are of several secrets; other members are ignored.
public struct StampedSignature {
  /// Signatures of one header that are compared: Stripe sends two while a secret is being replaced.
  public static let signaturesMax = 8

  /// Seconds since 1970.
  public private(set) var time: UInt64 = 0
  /// The bytes of each `v1`.
  public private(set) var signatures: [[UInt8]] = []
  /// The time as it was written, which is what was signed.
  private var timeText: [UInt8] = []

  /// Signs a body and returns the header's value, its digits in lower case.
  ///
  /// - Parameters:
  ///   - seconds: UNIX time.
  ///   - secret: not empty.
  public static func value(of body: [UInt8], seconds: UInt64, secret: [UInt8]) -> String {
    let time = "\(seconds)"
    let signature = SharedSecret(secret).sign(message(of: body, Array(time.utf8)), by: .hs256) ?? []
    return "t=\(time),v1=\(Digest.hex(signature))"
  }

  /// What is signed with a body.
  public func message(of body: [UInt8]) -> [UInt8] { StampedSignature.message(of: body, timeText) }

  private static func message(of body: [UInt8], _ time: [UInt8]) -> [UInt8] { time + [UInt8(ascii: ".")] + body }

  /// Nil without a time or a signature, with two times, and for a `v1` that is no HMAC-SHA256.
  public init?(_ header: [UInt8]) {
    for element in header.split(separator: UInt8(ascii: ",")) {
      let parts = element.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
      guard parts.count == 2 else { return nil }
      let name = parts[0].drop { $0 == UInt8(ascii: " ") }
      if name.elementsEqual("t".utf8) {
        guard timeText.isEmpty, (1...12).contains(parts[1].count),
          let time = UInt64(String(decoding: parts[1], as: UTF8.self))
        else { return nil }
        (timeText, self.time) = (Array(parts[1]), time)
      } else if name.elementsEqual("v1".utf8) {
        guard let signature = StampedSignature.digest(parts[1]), signatures.count < StampedSignature.signaturesMax
        else {
          return nil
        }
        signatures.append(signature)
      }
    }
    guard !timeText.isEmpty, !signatures.isEmpty else { return nil }
  }

  /// The 32 bytes of an HMAC-SHA256 in hexadecimal; nil for anything else.
  public static func digest(_ text: ArraySlice<UInt8>) -> [UInt8]? {
    guard text.count == 64 else { return nil }
    var bytes: [UInt8] = []
    var high: UInt8?
    for byte in text {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    return bytes
  }
}
