import ClientProtocol
import RoostJSON

/// One JSON value as UTF-8 text.
public typealias JSON = RoostJSON.JSON

/// Why a call failed.
public struct ClientError: Error, Sendable, Hashable, CustomStringConvertible {
  /// What programs tell errors apart by: the server's error codes, and those of the client itself.
  public struct Code: RawRepresentable, Sendable, Hashable {
    /// The name, as the server writes it.
    public let rawValue: String

    /// Takes the name of a code.
    public init(rawValue: String) { self.rawValue = rawValue }

    /// The user or its token may not do this.
    public static let forbidden = Code(rawValue: "forbidden")
    /// The token is wrong, missing or expired.
    public static let unauthenticated = Code(rawValue: "unauthenticated")
    /// The operation is not one that the server understands.
    public static let badRequest = Code(rawValue: "bad_request")
    /// There is no such action.
    public static let notFound = Code(rawValue: "not_found")
    /// The server is out of reach of what it needs: nothing was done. Try again in a moment.
    public static let unavailable = Code(rawValue: "unavailable")
    /// Too many operations. Try again in a moment.
    public static let rateLimited = Code(rawValue: "rate_limited")
    /// The connection is closed for good: by ``Roost/close()``, or by the server with a code after which clients stay away.
    public static let closed = Code(rawValue: "closed")
    /// The connection was lost before the answer came, and sending the operation again could do it twice.
    public static let disconnected = Code(rawValue: "disconnected")
    /// The operation was sent again and again for ``ClientLimits/resendSeconds`` and never answered: it may have been done.
    public static let expired = Code(rawValue: "expired")
    /// Too much waits for the connection: ``Roost/Options/offlineCallsMax`` or ``Roost/Options/offlineBytesMax``. Nothing
    /// was sent.
    public static let queueFull = Code(rawValue: "queue_full")
    /// Too many messages waited for the reader of a sequence: ``Roost/Options/backlogMax`` or
    /// ``Roost/Options/backlogBytesMax``. Ask for the sequence anew.
    public static let tooSlow = Code(rawValue: "too_slow")
    /// The task that waited was cancelled.
    public static let cancelled = Code(rawValue: "cancelled")
    /// The address cannot be used.
    public static let badAddress = Code(rawValue: "bad_address")
    /// This system lacks something that the client needs.
    public static let unsupported = Code(rawValue: "unsupported")
    /// The server answered with an error that has no code.
    public static let failed = Code(rawValue: "failed")
  }

  /// What programs tell errors apart by.
  public let code: Code
  /// What happened and what to do, for people. It never holds a token.
  public let message: String

  /// Makes an error.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// Code and message.
  public var description: String { "\(message) (\(code.rawValue))" }

  /// Whether a join is tried again after it.
  var isPassing: Bool { ErrorCode(rawValue: code.rawValue)?.isPassing == true }
}

extension ClientError {
  init(_ error: ProtocolError) { self.init(Code(rawValue: error.code.rawValue), error.message) }

  /// The error that an answer states; nil: it states none.
  init?(answer: ServerMessage) {
    let message = answer.explanation
    if answer.isType("error") {
      self.init(Code(rawValue: answer.code ?? "failed"), message ?? "the server refused it")
    } else if answer.isType("auth_failed") {
      self.init(.unauthenticated, message ?? "the server refused the token")
    } else {
      return nil
    }
  }
}

/// The fixed limits and times of a client. What a program may set is in ``Roost/Options``.
public enum ClientLimits {
  /// Milliseconds of the first wait before another connection; it doubles up to the longest one, and each wait is a random
  /// part of it, so that the clients of a node that went away do not return at one moment.
  public static let backoffMilliseconds = 500...30_000
  /// Milliseconds added to the wait after 4429 (rate limited).
  public static let rateLimitedMilliseconds = 10_000
  /// A connection that has lasted for so many seconds starts the backoff over.
  public static let stableSeconds = 10
  /// Seconds in which a transport must bring the welcome before the next one is tried.
  public static let welcomeSeconds = 5
  /// Seconds to wait for an answer to a ping that is sent when nothing came for the server's ping interval.
  public static let pongSeconds = 10
  /// Seconds for which an unanswered operation is sent again on new connections: the server remembers ids for five minutes.
  public static let resendSeconds = 240
  /// Milliseconds before a join is tried again that the server could not take now.
  public static let rejoinMilliseconds = 1_000...3_000
  /// Users asked for at a time where members are kept live.
  public static let presencePage = 1_000
}
