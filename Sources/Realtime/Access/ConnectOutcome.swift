/// What follows from a decision on who may connect.
struct ConnectOutcome {
  var verdict: TokenVerdict
  /// What the decision says of the client, when it is allowed.
  let grant: ConnectGrant?

  /// - Parameter now: milliseconds since 1970.
  init(_ decision: ConnectDecision, _ question: ConnectQuestion, at now: UInt64) {
    switch decision {
    case .refused(let reason): (verdict, grant) = (.refused(reason: reason), nil)
    case .unavailable(let reason): (verdict, grant) = (.unavailable(reason: reason), nil)
    case .allowed(let grant):
      self.grant = grant
      guard let identity = grant.identity(beyond: question.identity) else {
        verdict = .unavailable(reason: Refusal.unusableDecision)
        return
      }
      let hasExpired = identity.expiresAt.map { $0 <= now } ?? false
      verdict = hasExpired ? .refused(reason: "what was allowed has expired") : .accepted(identity)
    }
  }
}
