import COpenSSL

/// A private key that signs tokens. Confined to the thread that created it.
public final class SigningKey {
  private let key: OwnedKey
  /// What the key is.
  public var kind: KeyKind { key.kind }

  /// Reads the first private key of a PEM text; one that is encrypted is refused, because nobody is asked for a password.
  public init(pem: [UInt8]) throws(KeyFault) {
    guard let source = BIO_new(BIO_s_mem()) else { throw KeyFault.openSSL("no memory for a key") }
    defer { BIO_free(source) }
    BIO_write(source, pem, Int32(clamping: pem.count))
    ERR_clear_error()
    var isEncrypted = false
    guard let key = PEM_read_bio_PrivateKey(source, nil, PassPhrase.refuse, &isEncrypted) else {
      if isEncrypted {
        ERR_clear_error()
        throw KeyFault("the key is encrypted: decrypt it with openssl pkey -in FILE -out plain.pem, and name that file")
      }
      if let other = SigningKey.publicPart(in: pem) {
        ERR_clear_error()
        throw KeyFault(
          "it holds \(other), which checks tokens and cannot sign them: name the file with the private key")
      }
      throw KeyFault.openSSL("it holds no private key that can be read without a password")
    }
    self.key = try OwnedKey(key)
  }

  /// What a PEM text holds of a key that anybody may have (RFC 7468 sections 5 and 13), or nil.
  private static func publicPart(in pem: [UInt8]) -> String? {
    let text = String(decoding: pem, as: UTF8.self)
    if text.contains("-----BEGIN PUBLIC KEY-----") || text.contains("-----BEGIN RSA PUBLIC KEY-----") {
      return "a public key"
    }
    return text.contains("-----BEGIN CERTIFICATE-----") ? "a certificate" : nil
  }

  /// The usual algorithm for this kind of key.
  public var algorithm: SignatureAlgorithm {
    switch kind {
    case .secret: .hs256
    case .rsa: .rs256
    case .p256: .es256
    case .p384: .es384
    case .p521: .es512
    case .ed25519: .edDSA
    }
  }

  /// Returns the signature of `message` in the form of tokens, or nil when the algorithm is not for this kind of key.
  public func sign(_ message: [UInt8], by algorithm: SignatureAlgorithm) -> [UInt8]? {
    guard algorithm.keyKind == kind, let context = EVP_MD_CTX_new() else { return nil }
    defer { EVP_MD_CTX_free(context) }
    var parameters: OpaquePointer?
    guard EVP_DigestSignInit(context, &parameters, algorithm.digest, nil, key.pointer) == 1 else { return nil }
    guard algorithm.setPadding(parameters) else { return nil }
    var count = 0
    guard EVP_DigestSign(context, nil, &count, message, message.count) == 1 else { return nil }
    var signature = [UInt8](repeating: 0, count: count)
    guard EVP_DigestSign(context, &signature, &count, message, message.count) == 1 else { return nil }
    signature.removeLast(signature.count - count)
    guard let numberBytes = kind.ecdsaNumberBytes else { return signature }
    return ECDSASignature.raw(fromDER: signature, numberBytes: numberBytes)
  }
}
