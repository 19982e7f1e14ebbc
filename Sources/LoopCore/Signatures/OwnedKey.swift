import COpenSSL

/// A key of OpenSSL's that signs tokens or checks them, freed with its owner.
struct OwnedKey: ~Copyable {
  /// What the key is.
  let kind: KeyKind
  /// Alive as long as this is.
  let pointer: OpaquePointer

  /// Takes over a key of OpenSSL's, also when it throws.
  init(_ pointer: OpaquePointer) throws(KeyFault) {
    do throws(KeyFault) {
      kind = try KeyKind(of: pointer)
    } catch {
      EVP_PKEY_free(pointer)
      throw error
    }
    self.pointer = pointer
  }

  deinit { EVP_PKEY_free(pointer) }
}

extension KeyKind {
  /// Asks OpenSSL what a key is; throws when it is nothing that signs tokens.
  init(of key: OpaquePointer) throws(KeyFault) {
    switch EVP_PKEY_get_base_id(key) {
    case EVP_PKEY_RSA:
      let bits = EVP_PKEY_get_bits(key)
      guard bits >= PublicKey.rsaBitsMin else {
        throw KeyFault("an RSA key has \(bits) bits; expected at least \(PublicKey.rsaBitsMin) (RFC 7518 section 3.3)")
      }
      self = .rsa
    case EVP_PKEY_ED25519: self = .ed25519
    case EVP_PKEY_EC:
      var name = [CChar](repeating: 0, count: 64)
      EVP_PKEY_get_group_name(key, &name, name.count, nil)
      let group = String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      guard let kind = [KeyKind.p256, .p384, .p521].first(where: { $0.groupName == group }) else {
        throw KeyFault("the curve \(group) is not one of P-256, P-384 and P-521")
      }
      self = kind
    default: throw KeyFault("the key is not RSA, ECDSA or Ed25519")
    }
  }

  /// OpenSSL's name of the curve; nil for keys of another kind.
  var groupName: String? {
    switch self {
    case .p256: "prime256v1"
    case .p384: "secp384r1"
    case .p521: "secp521r1"
    case .secret, .rsa, .ed25519: nil
    }
  }

  /// Bytes of each number of a signature and of each coordinate (RFC 7518 section 3.4); nil for keys of another kind.
  var ecdsaNumberBytes: Int? {
    switch self {
    case .p256: 32
    case .p384: 48
    case .p521: 66
    case .secret, .rsa, .ed25519: nil
    }
  }
}
