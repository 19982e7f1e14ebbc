import Realtime

/// What tokens must claim beside a right signature.
public struct TokenPolicy: Sendable {
  /// The names that this server goes by; one of them must be in `aud`. Empty: tokens must have no `aud`, because one that
  /// names somebody was not made for us (RFC 7519 section 4.1.3).
  public var audiences: [[UInt8]] = []
  /// The issuers that are trusted; `iss` must be one of them. Empty: any holder of the key is.
  public var issuers: [[UInt8]] = []
  /// Milliseconds by which the issuer's clock may differ from ours.
  public var leewayMilliseconds: UInt64 = 5000
  /// Whether a token must have an `exp`: one that has none is good until its key is taken away.
  public var requiresExpiry = true
  /// The rooms of a token without `rooms`; nil: all.
  public var defaultRooms: RoomGrants?

  /// Holds the defaults.
  public init() {}
}

/// Judges tokens by keys and a policy; time comes in. Confined to the thread that created it.
package struct TokenVerifier {
  var keys: [TokenKey]
  let policy: TokenPolicy

  package init(keys: [TokenKey], policy: TokenPolicy) {
    self.keys = keys
    self.policy = policy
  }

  /// Returns whose token it is, or why it is refused. `now` is in milliseconds since 1970.
  package func judge(_ token: Span<UInt8>, now: UInt64) throws(TokenFault) -> Identity {
    let token = try CompactToken(token)
    let candidates = try candidates(for: token)
    guard candidates.contains(where: { $0.isValid(token) }) else {
      // Only a key that bears the token's `kid` proves it wrong: beside all others a newer set of keys may have the right
      // one. Secrets are never published.
      if candidates.contains(where: { $0.id != nil && $0.id == token.keyID }) { throw .signature }
      if token.algorithm.keyKind == .secret { throw .secretSignature }
      throw token.keyID == nil ? .unprovenSignature : .unknownKey
    }
    return try identity(Claims(token.payload), now: now)
  }

  /// The keys that may have signed the token: those that bear its `kid`, or else those without a name.
  private func candidates(for token: CompactToken) throws(TokenFault) -> ArraySlice<TokenKey> {
    var fitting = keys.filter { $0.fits(token.algorithm) }
    if let keyID = token.keyID {
      let named = fitting.filter { $0.id == keyID }
      fitting = named.isEmpty ? fitting.filter { $0.id == nil } : named
    }
    guard !fitting.isEmpty else { throw token.algorithm.keyKind == .secret ? .noKey : .unknownKey }
    return fitting.prefix(TokenLimits.keysTriedMax)
  }

  private func identity(_ claims: Claims, now: UInt64) throws(TokenFault) -> Identity {
    let leeway = policy.leewayMilliseconds
    if claims.expiresAt == nil, policy.requiresExpiry { throw .endless }
    if let expiresAt = claims.expiresAt, now >= expiresAt + leeway { throw .expired }
    if let notBefore = claims.notBefore, now + leeway < notBefore { throw .notYetValid }
    if policy.audiences.isEmpty {
      if claims.audiences != nil { throw .audience }
    } else {
      guard let audiences = claims.audiences, audiences.contains(where: policy.audiences.contains) else {
        throw .audience
      }
    }
    if !policy.issuers.isEmpty {
      guard let issuer = claims.issuer, policy.issuers.contains(issuer) else { throw .issuer }
    }
    // Checked in `Claims`; without a subject there is nobody to be.
    guard let user = claims.subject else { throw .claim("sub, the user, is missing") }
    // The leeway is for clocks that differ when a token is shown. A token shown in time ends in time.
    let end = claims.expiresAt.map { now < $0 ? $0 : $0 + leeway }
    return Identity(
      user: user, info: claims.info, rooms: claims.rooms.map { RoomGrants($0) } ?? policy.defaultRooms,
      mayBroadcast: claims.permissions.contains { $0.elementsEqual("broadcast".utf8) },
      mayDirect: claims.permissions.contains { $0.elementsEqual("direct".utf8) }, expiresAt: end,
      issuedAt: claims.issuedAt, tokenID: claims.tokenID)
  }
}
