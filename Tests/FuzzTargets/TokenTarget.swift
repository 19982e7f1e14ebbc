import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import Tokens

/// Reads tokens, their claims and sets of keys.
///
/// The input is taken for a token as it is, for a set of keys, and, its first line as header and the rest as claims, for
/// what a token with a right signature says.
enum TokenTarget {
  private static let now: UInt64 = 1_700_000_000_000

  /// Takes tokens without `exp` too, so that more inputs are let in.
  private static let policy = {
    var policy = TokenPolicy()
    policy.requiresExpiry = false
    return policy
  }()

  static func check(_ input: [UInt8]) throws(Broken) {
    let secret = SharedSecret(Array("a secret that no fuzzer will find".utf8))
    let verifier = TokenVerifier(keys: [TokenKey(.secret(secret))], policy: policy)
    try require((try? verifier.judge(input.span, now: now)) == nil, "nothing is a token without its signature")
    if let keys = try? TokenKey.readSet(input) {
      try require((1...TokenLimits.keysMax).contains(keys.count), "a set has at least one key and not too many")
    }
    let header = input.prefix { $0 != 0x0A }
    let signed =
      Base64URL.encode(Array(header).span) + [UInt8(ascii: ".")]
      + Base64URL.encode(Array(input.dropFirst(header.count + 1)).span)
    guard let signature = secret.sign(signed, by: .hs256) else { return }
    let token = signed + [UInt8(ascii: ".")] + Base64URL.encode(signature.span)
    guard let identity = try? verifier.judge(token.span, now: now) else { return }
    try check(identity)
    if identity.expiresAt == nil {
      let strict = TokenVerifier(keys: [TokenKey(.secret(secret))], policy: TokenPolicy())
      try require((try? strict.judge(token.span, now: now)) == nil, "by default a token without end is refused")
    }
    for shorter in [token.dropLast(), token.dropLast(signature.count), token[1...]] {
      try require((try? verifier.judge(Array(shorter).span, now: now)) == nil, "a part of a token is no token")
    }
    if let end = identity.expiresAt {
      let later = try? verifier.judge(token.span, now: end + 5000)
      try require(later == nil, "a token is good until it expires, and not longer than the leeway beyond")
    }
  }

  private static func check(_ identity: Identity) throws(Broken) {
    let user = identity.user
    try require(RoomName.isValid(user.span), "a user's name fits everywhere")
    try require(identity.expiresAt.map { $0 > now } ?? true, "whoever is let in is not expired")
    if let info = identity.info {
      try require((try? JSONScanner.validate(info.span)) != nil, "info is one JSON value")
      try require(info.count <= TokenLimits.infoBytesMax, "info is bounded")
    }
    if let rooms = identity.rooms {
      let name = Array("some room".utf8)
      try require(!rooms.mayPublish(name.span) || rooms.mayJoin(name.span), "whoever may publish may join")
    }
  }
}
