import COpenSSL

/// What a key is, which decides the algorithms that it may be used with.
public enum KeyKind: Equatable, Sendable {
  case secret
  case rsa
  case p256, p384, p521
  case ed25519
}

/// Names how a signature is made: RFC 7518 section 3.1 without `none`, and RFC 8037 section 3.1.
public enum SignatureAlgorithm: String, CaseIterable, Sendable {
  case hs256 = "HS256"
  case hs384 = "HS384"
  case hs512 = "HS512"
  case rs256 = "RS256"
  case rs384 = "RS384"
  case rs512 = "RS512"
  case ps256 = "PS256"
  case ps384 = "PS384"
  case ps512 = "PS512"
  case es256 = "ES256"
  case es384 = "ES384"
  case es512 = "ES512"
  case edDSA = "EdDSA"

  /// The only kind of key that the algorithm may be used with. A public key is never a secret: anyone who has it, and
  /// everybody has, could sign with it (RFC 8725 section 2.1).
  public var keyKind: KeyKind {
    switch self {
    case .hs256, .hs384, .hs512: .secret
    case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
    case .es256: .p256
    case .es384: .p384
    case .es512: .p521
    case .edDSA: .ed25519
    }
  }

  /// Whether RSA signs with the padding of RFC 8017 section 8.1 rather than that of section 8.2.
  private var isPSS: Bool { self == .ps256 || self == .ps384 || self == .ps512 }

  /// Sets the padding of a signature that is about to be made or checked; false when OpenSSL refuses.
  func setPadding(_ parameters: OpaquePointer?) -> Bool {
    guard isPSS else { return true }
    // RFC 7518 section 3.5: the salt is as long as the hash.
    return EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1
      && EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1
  }

  /// The hash of what is signed; nil for Ed25519, which has its own.
  var digest: OpaquePointer? {
    switch self {
    case .hs256, .rs256, .ps256, .es256: EVP_sha256()
    case .hs384, .rs384, .ps384, .es384: EVP_sha384()
    case .hs512, .rs512, .ps512, .es512: EVP_sha512()
    case .edDSA: nil
    }
  }
}

/// Why a key cannot be used.
public struct KeyFault: Error, CustomStringConvertible {
  /// A clause for people, with OpenSSL's own words when it has any; holds nothing of the key.
  public let description: String

  /// Takes a reason as it is.
  public init(_ reason: String) { description = reason }

  /// Takes the oldest entry of OpenSSL's error queue and empties it.
  static func openSSL(_ what: String) -> KeyFault { KeyFault(TLSError(what).description) }
}
