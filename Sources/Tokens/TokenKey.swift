import JSONCore
import LoopCore

/// A key that tokens are checked with, and what it may be used for. Confined to the thread that created it.
package struct TokenKey {
  /// What a signature is verified with.
  package enum Material {
    case secret(SharedSecret)
    case key(PublicKey)
  }

  /// The name by which tokens ask for it (RFC 7517 section 4.5), or nil.
  let id: [UInt8]?
  /// The only algorithm it may be used with (RFC 7517 section 4.4), or nil: every one for its kind.
  let algorithm: SignatureAlgorithm?
  let material: Material

  package init(_ material: Material, id: [UInt8]? = nil, algorithm: SignatureAlgorithm? = nil) {
    self.material = material
    self.id = id
    self.algorithm = algorithm
  }

  /// Whether tokens signed by that algorithm may be checked with this key. The key decides, never the token alone
  /// (RFC 8725 section 3.1).
  func fits(_ wanted: SignatureAlgorithm) -> Bool {
    guard algorithm == nil || algorithm == wanted else { return false }
    switch material {
    case .secret: return wanted.keyKind == .secret
    case .key(let key): return wanted.keyKind == key.kind
    }
  }

  func isValid(_ token: CompactToken) -> Bool {
    guard fits(token.algorithm) else { return false }
    switch material {
    case .secret(let secret): return secret.isValid(token.signature, of: token.signed, by: token.algorithm)
    case .key(let key): return key.isValid(token.signature, of: token.signed, by: token.algorithm)
    }
  }
}

// MARK: JSON Web Keys

extension TokenKey {
  /// Reads a set of keys (RFC 7517 section 5). Keys that are not for checking signatures, of a kind that is not
  /// known, or malformed are skipped, as the standard wants; a set without any other is a fault. `skipped` receives why
  /// a key was malformed.
  package static func readSet(_ bytes: [UInt8], skipped: (KeyFault) -> Void = { _ in }) throws(KeyFault) -> [TokenKey] {
    guard let set = try? JSONValue.parse(bytes.span, depthMax: TokenLimits.depthMax),
      let members = set["keys"]?.asArray
    else { throw KeyFault("it is no set of keys: expected {\"keys\":[…]} (RFC 7517 section 5)") }
    guard members.count <= TokenLimits.keysMax else {
      throw KeyFault("it has \(members.count) keys; expected at most \(TokenLimits.keysMax)")
    }
    var keys: [TokenKey] = []
    var firstFault: KeyFault?
    for member in members {
      do throws(KeyFault) {
        if let key = try TokenKey(webKey: member) { keys.append(key) }
      } catch {
        firstFault = firstFault ?? error
        skipped(error)
      }
    }
    guard !keys.isEmpty else {
      throw firstFault ?? KeyFault("it has no public key for signatures: expected kty RSA, EC or OKP")
    }
    return keys
  }

  /// Reads one key; nil when it is not for checking signatures.
  private init?(webKey: JSONValue) throws(KeyFault) {
    // RFC 7517 sections 4.2 and 4.3.
    if let use = webKey["use"], use.asString != "sig" { return nil }
    if let operations = webKey["key_ops"]?.asArray, !operations.contains(where: { $0.asString == "verify" }) {
      return nil
    }
    var algorithm: SignatureAlgorithm?
    if let name = webKey["alg"]?.asString {
      // RFC 9864 section 2.2 gives EdDSA over Ed25519 a name of its own.
      algorithm = name == "Ed25519" ? .edDSA : SignatureAlgorithm(rawValue: name)
      guard algorithm != nil else { return nil }
    }
    guard let key = try TokenKey.publicKey(webKey) else { return nil }
    if let algorithm, algorithm.keyKind != key.kind { throw KeyFault("a key's alg does not belong to its kty") }
    if let id = webKey["kid"] {
      guard let bytes = id.asBytes, bytes.count <= TokenLimits.idBytesMax else {
        throw KeyFault("a kid is not a string of at most \(TokenLimits.idBytesMax) bytes")
      }
    }
    self.init(.key(key), id: webKey["kid"]?.asBytes, algorithm: algorithm)
  }

  /// Nil for kinds that are not known, secrets among them: a set is published, and what is published is no secret.
  private static func publicKey(_ webKey: JSONValue) throws(KeyFault) -> PublicKey? {
    switch webKey["kty"]?.asString {
    case "RSA": return try PublicKey(rsaModulus: number(webKey["n"]), exponent: number(webKey["e"]))
    case "EC":
      let curve: KeyKind
      switch webKey["crv"]?.asString {
      case "P-256": curve = .p256
      case "P-384": curve = .p384
      case "P-521": curve = .p521
      default: return nil
      }
      return try PublicKey(curve: curve, x: number(webKey["x"]), y: number(webKey["y"]))
    case "OKP":
      guard webKey["crv"]?.asString == "Ed25519" else { return nil }
      return try PublicKey(ed25519: number(webKey["x"]))
    default: return nil
    }
  }

  private static func number(_ member: JSONValue?) throws(KeyFault) -> [UInt8] {
    guard let text = member?.asBytes, let bytes = Base64URL.decode(text.span), !bytes.isEmpty else {
      throw KeyFault("a number of a key is missing or not base64url")
    }
    return bytes
  }
}
