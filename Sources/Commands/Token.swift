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
    if let rooms { Self.write("rooms", rooms, to: &writer) }
    if let permissions { Self.write("permissions", permissions, to: &writer) }
    if let info {
      writer.key("info")
      writer.raw(info)
    }
    writer.endObject()
    return writer.finish()
  }

  /// Signs the claims with HS256 in the compact form (RFC 7515 section 3.1, RFC 7518 section 3.2).
  func signed(with secret: [UInt8]) -> String {
    let head = Self.base64URL(Array(#"{"alg":"HS256","typ":"JWT"}"#.utf8))
    let signingInput = "\(head).\(Self.base64URL(json))"
    return "\(signingInput).\(Self.base64URL(Digest.hmacSHA256(key: secret, Array(signingInput.utf8))))"
  }

  private static func write(_ name: StaticString, _ words: [String], to writer: inout JSONWriter) {
    writer.key(name)
    writer.beginArray()
    for word in words { writer.string(word) }
    writer.endArray()
  }

  /// The alphabet of RFC 4648 section 5, without padding (RFC 7515 section 2).
  static func base64URL(_ bytes: [UInt8]) -> String {
    let digits = Base64.encode(bytes.span).compactMap { digit -> UInt8? in
      switch digit {
      case UInt8(ascii: "+"): UInt8(ascii: "-")
      case UInt8(ascii: "/"): UInt8(ascii: "_")
      case UInt8(ascii: "="): nil
      default: digit
      }
    }
    return String(decoding: digits, as: UTF8.self)
  }
}
