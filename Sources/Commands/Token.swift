import JSONCore
import LoopCore

/// What a token claims (RFC 7519 section 4, and what Roost adds).
struct TokenClaims {
  var user: String
  /// Seconds since 1970.
  var issuedAt: UInt64
  /// Seconds since 1970.
  var expiresAt: UInt64
  /// Globs of the rooms; nil for all.
  var rooms: [String]?
  var permissions: [String]?
  /// One valid JSON value.
  var info: [UInt8]?
  var audience: String?
  var issuer: String?

  /// The claims as a JSON object.
  var json: [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("sub")
    writer.string(user)
    writer.key("iat")
    writer.unsigned(issuedAt)
    writer.key("exp")
    writer.unsigned(expiresAt)
    if let audience {
      writer.key("aud")
      writer.string(audience)
    }
    if let issuer {
      writer.key("iss")
      writer.string(issuer)
    }
    if let rooms { Self.write("rooms", rooms, to: &writer) }
    if let permissions { Self.write("permissions", permissions, to: &writer) }
    if let info {
      writer.key("info")
      writer.raw(info)
    }
    writer.endObject()
    return writer.finish()
  }

  /// Signs the claims in the compact form (RFC 7515 section 3.1); nil when the signer can not.
  func signed(by signer: TokenSigner, keyID: String? = nil) -> String? {
    var header = JSONWriter()
    header.beginObject()
    header.key("alg")
    header.string(signer.algorithm.rawValue)
    header.key("typ")
    header.string("JWT")
    if let keyID {
      header.key("kid")
      header.string(keyID)
    }
    header.endObject()
    let signed = Base64URL.encode(header.finish().span) + [UInt8(ascii: ".")] + Base64URL.encode(json.span)
    guard let signature = signer.sign(signed) else { return nil }
    return String(decoding: signed + [UInt8(ascii: ".")] + Base64URL.encode(signature.span), as: UTF8.self)
  }

  private static func write(_ name: StaticString, _ words: [String], to writer: inout JSONWriter) {
    writer.key(name)
    writer.beginArray()
    for word in words { writer.string(word) }
    writer.endArray()
  }
}

/// What signs a token: a secret that the node shares, or a private key whose public half the node has.
enum TokenSigner {
  case secret(SharedSecret)
  case key(SigningKey)

  var algorithm: SignatureAlgorithm {
    switch self {
    case .secret: .hs256
    case .key(let key): key.algorithm
    }
  }

  func sign(_ bytes: [UInt8]) -> [UInt8]? {
    switch self {
    case .secret(let secret): secret.sign(bytes, by: algorithm)
    case .key(let key): key.sign(bytes, by: algorithm)
    }
  }
}
