/// Why a token is refused. The reasons are for clients: none says anything about keys or the token's contents.
public enum TokenFault: Error, Equatable, Sendable {
  case malformed(StaticString)
  /// `kid` names no key that is known, or no key is of the kind that `alg` needs.
  case unknownKey
  /// The signature fits none of the keys that were tried.
  case signature
  case expired
  case notYetValid
  case audience
  case issuer
  case claim(StaticString)

  /// A clause for the client.
  public var reason: String {
    switch self {
    case .malformed(let what): "the token is malformed: \(what)"
    case .unknownKey: "no key of this server fits the token's alg and kid"
    case .signature: "the token's signature is wrong"
    case .expired: "the token has expired"
    case .notYetValid: "the token is not valid yet: compare the clocks, or see --jwt-leeway"
    case .audience: "the token is for another audience: compare its aud with --jwt-audience"
    case .issuer: "the token is of another issuer: compare its iss with --jwt-issuer"
    case .claim(let what): "a claim of the token is wrong: \(what)"
    }
  }

  public static func == (left: TokenFault, right: TokenFault) -> Bool { left.reason == right.reason }
}
