/// The error codes that a client or a caller over HTTP may see; the raw value is the name on the wire.
public enum ErrorCode: String, CaseIterable, Sendable {
  case badRequest = "bad_request"
  case unknownType = "unknown_type"
  case notJoined = "not_joined"
  case forbidden = "forbidden"
  case unauthenticated = "unauthenticated"
  case tooLarge = "too_large"
  case rateLimited = "rate_limited"
  case tooManyRooms = "too_many_rooms"
  case badRoom = "bad_room"
  case unavailable = "unavailable"
  case notFound = "not_found"
  case `internal` = "internal"

  /// The name on the wire as a literal, for writing without an allocation.
  public var wireName: StaticString {
    switch self {
    case .badRequest: "bad_request"
    case .unknownType: "unknown_type"
    case .notJoined: "not_joined"
    case .forbidden: "forbidden"
    case .unauthenticated: "unauthenticated"
    case .tooLarge: "too_large"
    case .rateLimited: "rate_limited"
    case .tooManyRooms: "too_many_rooms"
    case .badRoom: "bad_room"
    case .unavailable: "unavailable"
    case .notFound: "not_found"
    case .internal: "internal"
    }
  }

  /// Whether the same operation may succeed a little later: a client tries a refused join again after it.
  public var isPassing: Bool {
    switch self {
    case .unavailable, .rateLimited, .internal: true
    case .badRequest, .unknownType, .notJoined, .forbidden, .unauthenticated, .tooLarge, .tooManyRooms, .badRoom,
      .notFound:
      false
    }
  }

  /// The status of an HTTP answer that carries this error (RFC 9110 section 15; 429 from RFC 6585 section 4).
  public var httpStatus: Int {
    switch self {
    case .badRequest, .unknownType, .badRoom, .tooManyRooms: 400
    case .unauthenticated: 401
    case .forbidden, .notJoined: 403
    case .notFound: 404
    case .tooLarge: 413
    case .rateLimited: 429
    case .internal: 500
    case .unavailable: 503
    }
  }
}

/// Says why an operation was refused, in the words that its sender is answered with.
public struct ProtocolError: Error, Equatable, Sendable {
  /// The code that programs act on.
  public let code: ErrorCode
  /// What was wrong and what is expected, for people.
  public let message: String
  /// The operation's `id` with its quotes, as a range of the text it came in; nil when it had none that is valid.
  public let id: Range<Int>?

  /// Makes an error; `id` is a range of the text that was refused.
  public init(_ code: ErrorCode, _ message: String, id: Range<Int>? = nil) {
    self.code = code
    self.message = message
    self.id = id
  }
}
