import ClientProtocol
import JSONCore
import Realtime

/// What an operator is sent over its WebSocket. Pure.
enum LiveEvent {
  /// The token was right; the node that answers.
  case authSuccess(node: [UInt8])
  /// The token was wrong, or none is looked at for so many seconds.
  case authFailed(reason: String, retryAfterSeconds: Int?)
  /// The answer to a watch's read, or messages of its room: with the status and the body that a request would get.
  case update(id: [UInt8], status: Int, body: [UInt8])
  /// An operation could not be done.
  case error(id: [UInt8]?, ProtocolError)

  var json: [UInt8] {
    var writer = JSONWriter(capacity: 128)
    writer.beginObject()
    writer.key("type")
    switch self {
    case .authSuccess(let node):
      writer.string("auth_success" as StaticString)
      writer.key("node")
      writer.string(node)
    case .authFailed(let reason, let seconds):
      writer.string("auth_failed" as StaticString)
      writer.key("reason")
      writer.string(reason)
      if let seconds {
        writer.key("retryAfter")
        writer.integer(seconds)
      }
    case .update(let id, let status, let body):
      writer.string("update" as StaticString)
      writer.key("id")
      writer.string(id)
      writer.key("status")
      writer.integer(status)
      writer.key("body")
      writer.raw(body)
    case .error(let id, let error):
      writer.string("error" as StaticString)
      if let id {
        writer.key("id")
        writer.string(id)
      }
      writer.key("code")
      writer.string(error.code.wireName)
      writer.key("message")
      writer.string(error.message)
    }
    writer.endObject()
    return writer.finish()
  }
}
