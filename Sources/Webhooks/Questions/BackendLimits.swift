import TimeCore

/// The fixed limits of what a backend answers to questions and requests. Its answer's body has a limit of its own
/// (``WebhookLimits/responseBytesMax``).
public enum BackendLimits {
  /// Bytes of a `reason`: a sentence for a person. An answer with a longer one cannot be used.
  public static let reasonBytesMax = 1024
  /// Bytes of `info`, which stands in every list of members: as for a token.
  public static let infoBytesMax = 2 * 1024
  /// Globs in `rooms`, each of which is tried whenever a room is named: as for a token.
  public static let globsMax = 256
  /// Bytes of a glob: a room's name, and `r:` before it.
  public static let globBytesMax = 202
  /// The last second that is a date: the end of the year 9999. A number beyond it is one of milliseconds.
  public static let expiresMax = 253_402_300_799.0
  /// Calls of one user, or of one address where no token names a user, under way at a time, of each kind: a quarter of what a
  /// node asks at once (``WebhookLimits/parallelMax``), so that one client's slow questions leave places for all others. More
  /// wait for one of these to end. A private address has no share: it is a proxy's, or this machine's.
  public static let callsPerOwnerMax = 8
  /// Calls of one user or address that may wait: as many as the rooms that a connection may join at once. One more is
  /// refused.
  public static let waitingPerOwnerMax = 256
  /// Calls that may wait for their client's share, of all clients together, of each kind: as many as may wait for a
  /// connection.
  public static let waitingForShareMax = WebhookLimits.waitingMax
  /// Time between two log lines about answers that fail for the same reason: a backend that fails always must not fill the log.
  public static let logInterval = Interval.seconds(60)
  /// Reasons whose last line is remembered: more than there are kinds of faults, statuses apart.
  public static let loggedReasonsMax = 64
}
