import JSONCore

/// Why a request of Engine.IO is refused, with the numbers that its clients know.
enum EngineError: Int {
  case unknownTransport
  case unknownSession
  case badMethod
  case badRequest
  case forbidden
  case unsupportedVersion

  private var message: StaticString {
    switch self {
    case .unknownTransport: "Transport unknown"
    case .unknownSession: "Session ID unknown"
    case .badMethod: "Bad handshake method"
    case .badRequest: "Bad request"
    case .forbidden: "Forbidden"
    case .unsupportedVersion: "Unsupported protocol version"
    }
  }

  /// The answer to the request.
  var answer: ConnectionAnswer {
    var body = Array("{\"code\":\(rawValue),\"message\":\"".utf8)
    body.append(message)
    body.append(contentsOf: "\"}".utf8)
    return ConnectionAnswer(status: self == .forbidden ? 403 : 400, body)
  }
}
