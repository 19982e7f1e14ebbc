import LoopCore

/// The header `Roost-Signature`, by which a receiver knows who has sent a body, and when.
public enum WebhookSignature {
  /// The header's name.
  public static let header = "Roost-Signature"

  /// Returns `t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 of `SECONDS.BODY` under the secret, in lower-case digits.
  ///
  /// - Parameters:
  ///   - seconds: UNIX time.
  ///   - secret: not empty.
  public static func value(of body: [UInt8], seconds: UInt64, secret: [UInt8]) -> String {
    StampedSignature.value(of: body, seconds: seconds, secret: secret)
  }
}
