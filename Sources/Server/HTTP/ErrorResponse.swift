import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// The JSON body that every refused request gets: `{"error":{"code":…,"message":…}}`.
enum ErrorResponse {
  static func make(_ code: ErrorCode, _ message: String, status: Int? = nil) -> Response {
    var writer = JSONWriter()
    writer.beginObject()
    writer.error(code, message)
    writer.endObject()
    return .json(status: status ?? code.httpStatus, writer.finish())
  }

  /// For a status that the parser chose.
  static func make(status: Int, _ message: String) -> Response {
    let code: ErrorCode =
      switch status {
      case 401: .unauthenticated
      case 403: .forbidden
      case 404: .notFound
      case 413, 414, 431: .tooLarge
      case 429: .rateLimited
      case 503: .unavailable
      default: .badRequest
      }
    return make(code, message, status: status)
  }

  static func methodNotAllowed(_ allowed: StaticString) -> Response {
    var response = make(.badRequest, "this path answers \(allowed) only", status: 405)
    response.addHeader("Allow", allowed)
    return response
  }
}
