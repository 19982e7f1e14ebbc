import COpenSSL

/// A public key that checks signatures. Confined to the thread that created it.
public final class PublicKey {
  /// Bits of the smallest RSA key taken (RFC 7518 section 3.3).
  public static let rsaBitsMin: Int32 = 2048

  private let key: OwnedKey
  /// What the key is.
  public var kind: KeyKind { key.kind }

  /// Takes over a key of OpenSSL's, also when it throws.
  init(owning key: OpaquePointer) throws(KeyFault) {
    self.key = try OwnedKey(key)
  }

  /// Checks a signature of a token: for ECDSA both numbers one behind the other, as RFC 7518 section 3.4 has them.
  /// An algorithm that is not for this kind of key checks nothing.
  public func isValid(_ signature: [UInt8], of message: [UInt8], by algorithm: SignatureAlgorithm) -> Bool {
    guard algorithm.keyKind == kind, let context = EVP_MD_CTX_new() else { return false }
    defer {
      EVP_MD_CTX_free(context)
      ERR_clear_error()
    }
    var parameters: OpaquePointer?
    guard EVP_DigestVerifyInit(context, &parameters, algorithm.digest, nil, key.pointer) == 1 else { return false }
    guard algorithm.setPadding(parameters) else { return false }
    var signature = signature
    if let count = kind.ecdsaNumberBytes {
      guard let der = ECDSASignature.der(fromRaw: signature, numberBytes: count) else { return false }
      signature = der
    }
    return EVP_DigestVerify(context, signature, signature.count, message, message.count) == 1
  }
}

// MARK: From JSON Web Keys

extension PublicKey {
  /// Makes an RSA key from its modulus and exponent, big-endian (RFC 7518 section 6.3.1).
  public convenience init(rsaModulus modulus: [UInt8], exponent: [UInt8]) throws(KeyFault) {
    // With the exponent 1, or an even one, everybody could sign (RFC 8017 section 3.1).
    guard exponent.last.map({ $0 & 1 == 1 }) == true, exponent.drop(while: { $0 == 0 }) != [1] else {
      throw KeyFault("e is no exponent of an RSA key")
    }
    let n = BN_bin2bn(modulus, Int32(modulus.count), nil)
    let e = BN_bin2bn(exponent, Int32(exponent.count), nil)
    defer {
      BN_free(n)
      BN_free(e)
    }
    guard let key = roost_rsa_key(n, e) else { throw KeyFault.openSSL("n and e are no RSA key") }
    try self.init(owning: key)
  }

  /// Makes a key from a point on one of NIST's curves (RFC 7518 section 6.2.1). A point beside the curve is refused.
  public convenience init(curve: KeyKind, x: [UInt8], y: [UInt8]) throws(KeyFault) {
    guard let count = curve.ecdsaNumberBytes, let name = curve.groupName else {
      throw KeyFault("the curve is not one of P-256, P-384 and P-521")
    }
    guard x.count == count, y.count == count else {
      throw KeyFault("x and y must have \(count) bytes each (RFC 7518 section 6.2.1.2)")
    }
    // 4: both coordinates follow, uncompressed (SEC 1 section 2.3.3).
    let point = [4] + x + y
    guard let key = roost_ec_key(name, point, point.count) else {
      throw KeyFault.openSSL("x and y are no point of the curve")
    }
    try self.init(owning: key)
  }

  /// Makes an Ed25519 key from its 32 bytes (RFC 8037 section 2).
  public convenience init(ed25519 bytes: [UInt8]) throws(KeyFault) {
    guard bytes.count == 32, let key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nil, bytes, 32) else {
      throw KeyFault.openSSL("x is no Ed25519 key of 32 bytes (RFC 8037 section 2)")
    }
    try self.init(owning: key)
  }
}
