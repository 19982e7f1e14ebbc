import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import Settings

extension AdminEndpoint {
  /// `POST /admin/revoke`: refuses a user's tokens issued so far, or one token, for a time.
  func revoke(_ request: Request, _ body: AdminBody) {
    attempt(request) { () throws(ProtocolError) in
      let subject = try AdminEndpoint.subject(body)
      let milliseconds = try AdminEndpoint.duration(body)
      hub.revoke(subject, forMilliseconds: milliseconds) { [self] result in
        if case .success(nil) = result {
          return refuse(
            request, .rateLimited, "\(Limits.revocationsMax) revocations stand already: change the key instead")
        }
        finish(request, result) { until, writer in
          switch subject {
          case .user(let name, _):
            writer.key("user")
            writer.string(name)
          case .token(let name):
            writer.key("token")
            writer.string(name)
          }
          writer.key("until")
          writer.unsigned(until ?? 0)
        }
      }
    }
  }

  /// Longer names of tokens than this are refused: they stand in the memory of every node.
  static let tokenBytesMax = 256

  private static func subject(_ body: AdminBody) throws(ProtocolError) -> Revocation.Subject {
    guard !body.has("user") else { return .user(try body.user("user"), issuedUntil: Clock.wallMilliseconds()) }
    let name = try body.string("token")
    guard (1...tokenBytesMax).contains(name.count) else {
      throw ProtocolError(.badRequest, "token has 1 to \(tokenBytesMax) bytes: it is the jti, not the token")
    }
    return .token(name)
  }

  private static func duration(_ body: AdminBody) throws(ProtocolError) -> UInt64 {
    guard body.has("for") else { return Limits.revocationMillisecondsDefault }
    let text = String(decoding: try body.string("for"), as: UTF8.self)
    guard let value = Quantity.milliseconds(text), value >= 1, value <= Limits.revocationMillisecondsMax else {
      throw ProtocolError(.badRequest, "for must be a duration such as 30s, 5m or 24h, at most a year")
    }
    return UInt64(value)
  }
}
