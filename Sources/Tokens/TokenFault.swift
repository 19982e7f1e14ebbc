/// Why a token is refused. The reasons are for clients: none says anything about keys or the token's contents.
public enum TokenFault: Error, Equatable, Sendable {
  case malformed(StaticString)
  /// `kid` names no key that is known, or no key is of the kind that `alg` needs.
  case unknownKey
  /// There is no secret, which `alg` needs, and secrets are never published.
  case noKey
  /// The signature fits none of the keys that were tried, and no other key may have made it.
  case signature
  /// The signature was made with none of the secrets.
  case secretSignature
  /// The token has no `kid`, and the signature fits none of the keys that were tried.
  case unprovenSignature
  case expired
  case notYetValid
  case audience
  case issuer
  case claim(StaticString)
  /// It has no `exp`, and tokens must have one.
  case endless

  /// Where a key may be that proves the token right although the known ones do not.
  enum Hope { case none, files, filesOrSet }

  /// Whether the token is not known to be wrong: a key that was not read yet may have signed it.
  var hope: Hope {
    switch self {
    case .unknownKey, .unprovenSignature: .filesOrSet
    case .noKey, .secretSignature: .files
    default: .none
    }
  }

  /// A clause for the client.
  public var reason: String {
    switch self {
    case .malformed(let what): "the token is malformed: \(what)"
    case .unknownKey, .noKey: "no key of this server fits the token's alg and kid"
    case .signature, .secretSignature, .unprovenSignature: "the token's signature is wrong"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet: compare the clocks, or see --jwt-leeway"
    case .audience: "the token is for another audience: compare its aud with --jwt-audience"
    case .issuer: "the token is of another issuer: compare its iss with --jwt-issuer"
    case .claim(let what): "a claim of the token is wrong: \(what)"
    case .endless: "the token has no exp: give it one, or start the server with --jwt-require-exp off"
    }
  }

  public static func == (left: TokenFault, right: TokenFault) -> Bool { left.reason == right.reason }
}
