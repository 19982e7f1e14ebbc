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
  /// Time between two log lines about answers that fail: a backend that fails always must not fill the log.
  public static let logInterval = Interval.seconds(60)
}
