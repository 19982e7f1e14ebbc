import COpenSSL

/// Hashes, random bytes and comparisons of secrets, all by OpenSSL.
public enum Digest {
  /// Returns the 20 bytes of SHA-1: for the WebSocket handshake (RFC 6455 section 4.2.2) and nothing else.
  public static func sha1(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, sha1Algorithm, count: 20) }

  /// Returns the 32 bytes of SHA-256.
  public static func sha256(_ bytes: [UInt8]) -> [UInt8] { hash(bytes, sha256Algorithm, count: 32) }

  /// Returns the 20 bytes of HMAC-SHA1 (RFC 2104): for the passwords of TURN servers, whose scheme has no other.
  public static func hmacSHA1(_ message: [UInt8], key: [UInt8]) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: 20)
    var count: UInt32 = 0
    guard HMAC(EVP_sha1(), key, Int32(key.count), message, message.count, &output, &count) != nil, count == 20 else {
      fatalError("OpenSSL's HMAC failed")
    }
    return output
  }

  // Fetched once: OpenSSL would look an algorithm up by name for every hash (EVP_MD_fetch(3)).
  // Safe because OpenSSL never changes a fetched algorithm, and these live as long as the process.
  nonisolated(unsafe) private static let sha1Algorithm = EVP_MD_fetch(nil, "SHA1", nil)
  nonisolated(unsafe) private static let sha256Algorithm = EVP_MD_fetch(nil, "SHA256", nil)

  private static func hash(_ bytes: [UInt8], _ algorithm: OpaquePointer?, count: Int) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: count)
    var length: UInt32 = 0
    EVP_Digest(bytes, bytes.count, &output, &length, algorithm, nil)
    return output
  }

  /// Returns `count` bytes from the system's cryptographic generator.
  public static func randomBytes(_ count: Int) -> [UInt8] {
    var output = [UInt8](repeating: 0, count: count)
    guard RAND_bytes(&output, Int32(count)) == 1 else { fatalError("OpenSSL's random generator failed") }
    return output
  }

  /// Returns two lower-case hexadecimal digits for each byte.
  public static func hex(_ bytes: [UInt8]) -> String {
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }

  /// Compares a secret in time that depends on neither content, so that no guess is better than another.
  /// The lengths of both may be learned by timing: they are hashed first.
  public static func isEqual(_ a: [UInt8], _ b: [UInt8]) -> Bool {
    CRYPTO_memcmp(sha256(a), sha256(b), 32) == 0
  }
}
