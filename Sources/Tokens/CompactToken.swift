import JSONCore
import LoopCore

/// A token in the compact form, taken apart and not yet believed (RFC 7515 section 7.1).
struct CompactToken {
  let algorithm: SignatureAlgorithm
  /// The name of the key that has signed it, or nil.
  let keyID: [UInt8]?
  /// What the signature is about: header and payload as they were sent.
  let signed: [UInt8]
  let payload: [UInt8]
  let signature: [UInt8]

  init(_ token: Span<UInt8>) throws(TokenFault) {
    guard token.count <= TokenLimits.tokenBytesMax else {
      throw .malformed("it is longer than 8 KiB")
    }
    let dots = token.indices.filter { token[$0] == UInt8(ascii: ".") }
    guard dots.count == 2 else { throw .malformed("it does not have three parts (RFC 7515 section 7.1)") }
    guard let header = Base64URL.decode(token.extracting(0..<dots[0])),
      let payload = Base64URL.decode(token.extracting((dots[0] + 1)..<dots[1])),
      let signature = Base64URL.decode(token.extracting((dots[1] + 1)..<token.count))
    else { throw .malformed("a part is not base64url (RFC 7515 section 2)") }
    (algorithm, keyID) = try CompactToken.read(header: header)
    self.signed = [UInt8](copying: token.extracting(0..<dots[1]))
    self.payload = payload
    self.signature = signature
  }

  /// Takes `alg` and `kid`. Everything else there is ignored, above all keys that a token brings along (`jwk`, `jku`,
  /// `x5c`, `x5u`: RFC 8725 section 3.10).
  private static func read(header: [UInt8]) throws(TokenFault) -> (SignatureAlgorithm, [UInt8]?) {
    guard let object = try? JSONValue.parse(header.span, depthMax: TokenLimits.depthMax), object.asObject != nil else {
      throw .malformed("its header is not a JSON object")
    }
    // RFC 7515 section 4.1.11: extensions that must be understood, of which none are.
    guard object["crit"] == nil else { throw .malformed("its header has crit, which is not supported") }
    guard let name = object["alg"]?.asString, let algorithm = SignatureAlgorithm(rawValue: name) else {
      throw .malformed("its alg is not supported")
    }
    guard let member = object["kid"] else { return (algorithm, nil) }
    guard let keyID = member.asBytes, keyID.count <= TokenLimits.idBytesMax else {
      throw .malformed("its kid is not a string of at most 200 bytes")
    }
    return (algorithm, keyID)
  }
}
