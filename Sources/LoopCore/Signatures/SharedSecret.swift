import COpenSSL

/// A secret that signs and checks with HMAC (RFC 7518 section 3.2).
public struct SharedSecret: Sendable {
  /// Bytes below which a secret can be guessed from one signature: RFC 7518 section 3.2 wants as many as the hash has.
  public static let bytesMin = 32

  private let bytes: [UInt8]

  /// Takes the secret's bytes as they are.
  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  /// The sentence that warns of a secret that is too short; it holds the setting's name and nothing of the secret.
  public static func warning(_ name: String, bytesMin: Int) -> String {
    "\(name) has fewer than \(bytesMin) bytes and can be guessed: openssl rand -hex 32 makes one"
  }

  /// Whether the secret is shorter than the standard allows.
  public var isShort: Bool { bytes.count < SharedSecret.bytesMin }

  /// Returns the signature of `message`, or nil when the algorithm is none for secrets.
  public func sign(_ message: [UInt8], by algorithm: SignatureAlgorithm) -> [UInt8]? {
    guard algorithm.keyKind == .secret, !bytes.isEmpty else { return nil }
    var output = [UInt8](repeating: 0, count: Int(EVP_MAX_MD_SIZE))
    var count: UInt32 = 0
    guard HMAC(algorithm.digest, bytes, Int32(bytes.count), message, message.count, &output, &count) != nil else {
      return nil
    }
    return Array(output.prefix(Int(count)))
  }

  /// Checks a signature in time that does not depend on how much of it is right.
  public func isValid(_ signature: [UInt8], of message: [UInt8], by algorithm: SignatureAlgorithm) -> Bool {
    guard let expected = sign(message, by: algorithm), expected.count == signature.count else { return false }
    return CRYPTO_memcmp(expected, signature, expected.count) == 0
  }
}
