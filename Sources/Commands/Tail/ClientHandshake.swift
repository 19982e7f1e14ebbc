import HTTPCore
import JSONCore
import LoopCore

/// The opening handshake from the client's side (RFC 6455 section 4.1).
struct ClientHandshake {
  /// What the server's answer means.
  enum Verdict: Equatable {
    case accepted
    /// Worth another attempt later: the node is starting, draining or full.
    case refusedForNow(String)
    case refused(CommandFailure)
  }

  private let url: ServerURL
  private let key: [UInt8]

  /// `nonce` is 16 random bytes, fresh for each connection.
  init(_ url: ServerURL, nonce: [UInt8]) {
    self.url = url
    key = Base64.encode(nonce.span)
  }

  /// The request; the token goes into a header, where no access log writes it down.
  func request(user: String, token: String?) -> [UInt8] {
    let name = String(decoding: PercentCoding.encode(Array(user.utf8).span), as: UTF8.self)
    var lines = [
      "GET \(url.path)/ws?user=\(name) HTTP/1.1", "Host: \(url.authority)", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
    ]
    if let token { lines.append("Authorization: Bearer \(token)") }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  /// Judges the answer (RFC 6455 section 4.1, items 1 to 4 of the server's response).
  func judge(_ response: ReceivedResponse) -> Verdict {
    switch response.status {
    case 101: break
    case 401, 403:
      let text = "\(url.text) refused us (\(response.status)); give a token by --token"
      return .refused(CommandFailure(ExitStatus.noPermission, text))
    case 429, 500..<600: return .refusedForNow("\(url.text) answered \(response.status)")
    default:
      return .refused(
        CommandFailure(ExitStatus.unexpectedAnswer, "\(url.text)/ws answered \(response.status): not a Roost node"))
    }
    let accept = Base64.encode(Digest.sha1(key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)).span)
    guard response.headers.contains("Upgrade", token: "websocket"),
      response.headers.contains("Connection", token: "Upgrade"),
      response.headers.combined("Sec-WebSocket-Accept") == accept,
      // Nothing was offered, so nothing may be chosen.
      response.headers.combined("Sec-WebSocket-Extensions") == nil,
      response.headers.combined("Sec-WebSocket-Protocol") == nil
    else {
      let text = "\(url.text)/ws does not answer as a WebSocket server"
      return .refused(CommandFailure(ExitStatus.unexpectedAnswer, text))
    }
    return .accepted
  }
}
