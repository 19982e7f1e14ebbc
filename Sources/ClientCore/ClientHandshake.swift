import HTTPCore
import JSONCore
import LoopCore

/// The opening handshake from the client's side (RFC 6455 section 4.1).
public struct ClientHandshake: Sendable {
  /// What is offered beside the plain protocol.
  public enum Offer: Sendable { case nothing, deflate }

  private let url: ServerURL
  private let path: String
  private let key: [UInt8]
  private let offer: Offer

  /// Prepares the handshake of one connection.
  ///
  /// - Parameters:
  ///   - path: of the WebSocket, as ``ServerURL/webSocketPath(_:)`` makes it.
  ///   - nonce: 16 random bytes, fresh for each connection.
  public init(_ url: ServerURL, path: String, nonce: [UInt8], offer: Offer = .nothing) {
    self.url = url
    self.path = path
    self.offer = offer
    key = Base64.encode(nonce.span)
  }

  /// The address that is asked, for messages.
  public var tried: String { url.webSocketText(path) }

  /// The request for `target`, the path with its query; the token goes into a header, where no access log writes it down.
  public func request(target: String, token: String? = nil) -> [UInt8] {
    var lines = [
      "GET \(target) HTTP/1.1", "Host: \(url.authority)", "Upgrade: websocket", "Connection: Upgrade",
      "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: \(String(decoding: key, as: UTF8.self))",
    ]
    if offer == .deflate {
      lines.append(
        "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    }
    if let token { lines.append("Authorization: Bearer \(token)") }
    return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8)
  }

  /// Judges the answer (RFC 6455 section 4.1, items 1 to 4 of the server's response); nil: the WebSocket is open.
  public func problem(_ response: ReceivedResponse) -> ConnectionProblem? {
    guard response.status == 101 else {
      let location = response.headers.combined("Location").map { String(decoding: $0, as: UTF8.self) }
      // A node's error object.
      let words = (try? JSONValue.parse(response.body.span))?["error"]?["message"]?.asString
      return .answered(status: response.status, location: location, words: words)
    }
    let accept = Base64.encode(Digest.sha1(key + Array("258EAFA5-E914-47DA-95CA-C5AB0DC85B11".utf8)).span)
    guard response.headers.contains("Upgrade", token: "websocket"),
      response.headers.contains("Connection", token: "Upgrade"),
      response.headers.combined("Sec-WebSocket-Accept") == accept,
      // No protocol was offered, so none may be chosen; and no extension but the one that was.
      response.headers.combined("Sec-WebSocket-Protocol") == nil,
      offer == .deflate || response.headers.combined("Sec-WebSocket-Extensions") == nil
    else { return .brokenHandshake }
    return nil
  }

  /// Whether an answer agrees to permessage-deflate (RFC 7692 section 5.1).
  public static func agreesToDeflate(_ response: ReceivedResponse) -> Bool {
    (response.headers.combined("Sec-WebSocket-Extensions") ?? []).starts(with: "permessage-deflate".utf8)
  }
}
