/// What came of judging a token.
public enum TokenVerdict: Sendable {
  case accepted(Identity)
  /// The token is not good; the reason is for the client and holds nothing secret.
  case refused(reason: String)
  /// The keys are out of reach: the same token may be good later.
  case unavailable(reason: String)
}
