/// The exit statuses of all commands, by their names in sysexits.h.
public enum ExitStatus {
  /// The command did what it was asked for.
  public static let success: Int32 = 0
  /// The load generator found that the server lost, repeated or reordered messages.
  public static let faulty: Int32 = 1
  /// EX_USAGE: an unknown command or flag, a value that cannot be.
  public static let usage: Int32 = 64
  /// EX_DATAERR: the server refused what it was sent.
  public static let refusedData: Int32 = 65
  /// EX_UNAVAILABLE: no server, or one that cannot answer now.
  public static let unavailable: Int32 = 69
  /// EX_PROTOCOL: something answered, but not as a Roost node does.
  public static let unexpectedAnswer: Int32 = 76
  /// EX_NOPERM: the token is missing, wrong or not enough, or an administrator has closed the connection.
  public static let noPermission: Int32 = 77
}

/// Says in one line why a command failed, and how the process ends.
public struct CommandFailure: Error, Equatable, Sendable {
  /// One of ``ExitStatus``.
  public let status: Int32
  /// One line for people; holds no token.
  public let message: String

  /// Makes a failure of one of ``ExitStatus``; the message says what to do next.
  public init(_ status: Int32, _ message: String) {
    self.status = status
    self.message = message
  }
}
