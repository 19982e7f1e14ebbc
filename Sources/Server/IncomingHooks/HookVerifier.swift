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
      guard header.starts(with: prefix), let signature = StampedSignature.digest(header.dropFirst(prefix.count)) else {
        return .malformed
      }
      return isSigned(body, by: [signature]) ? nil : .wrong
    case .stripe, .roost:
      guard let stamped = StampedSignature(header) else { return .malformed }
      guard max(stamped.time, now) - min(stamped.time, now) <= HookVerifier.toleranceSeconds else { return .stale }
      return isSigned(stamped.message(of: body), by: stamped.signatures) ? nil : .wrong
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
}
