import LoopCore
import Settings

/// Verifies that a delivery was signed with a secret of its hook.
///
/// - GitHub: `X-Hub-Signature-256: sha256=HEX`, the HMAC-SHA256 of the body
///   (docs.github.com, "Validating webhook deliveries").
/// - Stripe and Roost: `t=UNIX,v1=HEX`, the HMAC-SHA256 of the time, a dot, and the body; of several `v1` one must fit, and
///   other members are ignored (docs.stripe.com, "Resolve webhook signature verification errors").
struct HookVerifier {
  /// Why a delivery is refused.
  enum Failure: Error, Equatable {
    case missing
    case malformed
    /// The time stamp is too old, or too far ahead.
    case stale
    /// No secret of the hook makes this signature.
    case wrong
  }

  /// Seconds that a time stamp may differ from this node's clock: beyond it a delivery that somebody has recorded is of no
  /// use. Stripe's own libraries have the same.
  static let toleranceSeconds: UInt64 = 300
  /// Signatures of one delivery that are compared: Stripe sends two while a secret is being replaced.
  static let signaturesMax = 8
  /// Bytes of the header that are looked at.
  static let headerBytesMax = 1024

  let scheme: IncomingHookScheme
  private let secrets: [SharedSecret]

  init(_ scheme: IncomingHookScheme, secrets: [[UInt8]]) {
    self.scheme = scheme
    self.secrets = secrets.map { SharedSecret($0) }
  }

  /// Checks a signature; nil: it is right. What costs nothing is checked first.
  ///
  /// - Parameters:
  ///   - header: the value of the scheme's header; nil when it is absent.
  ///   - body: the bytes that were signed, as they came.
  ///   - now: seconds since 1970.
  func check(_ header: [UInt8]?, of body: [UInt8], now: UInt64) -> Failure? {
    guard let header else { return .missing }
    guard header.count <= HookVerifier.headerBytesMax else { return .malformed }
    switch scheme {
    case .github:
      let prefix = Array("sha256=".utf8)
      guard header.starts(with: prefix), let signature = HookVerifier.digest(header.dropFirst(prefix.count)) else {
        return .malformed
      }
      return isSigned(body, by: [signature]) ? nil : .wrong
    case .stripe, .roost:
      guard let stamped = StampedSignature(header) else { return .malformed }
      guard max(stamped.time, now) - min(stamped.time, now) <= HookVerifier.toleranceSeconds else { return .stale }
      return isSigned(stamped.timeText + [UInt8(ascii: ".")] + body, by: stamped.signatures) ? nil : .wrong
    }
  }

  /// Compares every secret with every signature, in constant time.
  private func isSigned(_ message: [UInt8], by signatures: [[UInt8]]) -> Bool {
    var isSigned = false
    for secret in secrets {
      guard let expected = secret.sign(message, by: .hs256) else { continue }
      for signature in signatures where Digest.isEqual(expected, signature) { isSigned = true }
    }
    return isSigned
  }

  /// The 32 bytes of an HMAC-SHA256 in hexadecimal; nil for anything else.
  static func digest(_ text: ArraySlice<UInt8>) -> [UInt8]? {
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

/// A header such as `t=1492774577,v1=5257a8…,v1=…,v0=…`.
private struct StampedSignature {
  /// The time as it was written, which is what was signed.
  var timeText: [UInt8] = []
  /// Seconds since 1970.
  var time: UInt64 = 0
  var signatures: [[UInt8]] = []

  /// Nil without a time or a signature, with two times, and for a `v1` that is no HMAC-SHA256.
  init?(_ header: [UInt8]) {
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
        guard let signature = HookVerifier.digest(parts[1]), signatures.count < HookVerifier.signaturesMax else {
          return nil
        }
        signatures.append(signature)
      }
    }
    guard !timeText.isEmpty, !signatures.isEmpty else { return nil }
  }
}
