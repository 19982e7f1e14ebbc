/// Judges opening handshakes and answers them (RFC 6455 section 4.2).
///
/// The Origin is not judged here: which origins may connect is a setting, not a rule of the protocol.
public enum Handshake {
  /// Holds what a handshake is judged by; nil stands for a header that is absent, and repeated lines of one header are
  /// joined with commas (RFC 9110 section 5.3), so that a repeated key or version is seen to be wrong.
  public struct Request: Sendable {
    public var method: [UInt8]
    public var versionMajor: Int
    public var versionMinor: Int
    public var host: [UInt8]?
    public var upgrade: [UInt8]?
    public var connection: [UInt8]?
    public var key: [UInt8]?
    public var version: [UInt8]?
    public var extensions: [UInt8]?
    public var protocols: [UInt8]?

    /// Makes a request of no headers, to be filled in.
    public init(method: [UInt8], versionMajor: Int, versionMinor: Int) {
      self.method = method
      self.versionMajor = versionMajor
      self.versionMinor = versionMinor
    }
  }

  /// Holds the answer to a handshake that was refused.
  public struct Rejection: Sendable {
    /// 400, 405 or 426.
    public let status: Int
    public let reason: StaticString
    /// Headers that the status calls for, Connection among them.
    public let headers: [(name: StaticString, value: StaticString)]
  }

  /// Holds what an accepted handshake is answered with.
  public struct Acceptance: Sendable {
    /// The client's key and the protocol's GUID: the accept value is the Base 64 of the SHA-1 of these 60 bytes.
    public let challenge: [UInt8]
    /// Agreed compression; nil without.
    public let deflate: DeflateParameters?
    /// The subprotocol that is answered, and the token that came with the offer.
    public let subprotocols: Subprotocols
  }

  /// Says how a handshake was judged.
  public enum Outcome: Sendable {
    case accepted(Acceptance)
    case rejected(Rejection)
  }

  /// Judges a request by RFC 6455 section 4.2.1.
  ///
  /// `deflate` says whether the server wants compression at all.
  public static func judge(_ request: Request, deflate: Bool) -> Outcome {
    if let rejection = faultOfRequest(request) ?? faultOfUpgrade(request) { return .rejected(rejection) }
    // RFC 6455 section 4.2.1, 5: the key decodes to 16 bytes.
    guard let key = request.key, Base64.isSixteenBytes(key.span) else {
      return .rejected(bad("Sec-WebSocket-Key is not the Base 64 of 16 bytes"))
    }
    var parameters: DeflateParameters?
    if let extensions = request.extensions {
      switch DeflateParameters.negotiate(extensions.span) {
      case .agreed(let agreed): parameters = deflate ? agreed : nil
      // RFC 6455 section 9.1: what the server does not take is left out of the answer, and the handshake goes on.
      case .declined: break
      // RFC 6455 section 9.1: a value outside the grammar fails the connection, wanted or not.
      case .malformed: return .rejected(bad("Sec-WebSocket-Extensions is malformed (RFC 6455 section 9.1)"))
      }
    }
    var challenge = key
    challenge.append(literal: "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")
    return .accepted(
      Acceptance(challenge: challenge, deflate: parameters, subprotocols: Subprotocols(offered: request.protocols)))
  }

  /// Writes the 101 answer (RFC 6455 section 4.2.2); `accept` is the Base 64 of the challenge's SHA-1.
  public static func appendResponse(_ acceptance: Acceptance, accept: Span<UInt8>, to out: inout [UInt8]) {
    out.append(literal: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n")
    out.append(literal: "Sec-WebSocket-Accept: ")
    out.append(copying: accept)
    if let subprotocol = acceptance.subprotocols.answer {
      out.append(literal: "\r\nSec-WebSocket-Protocol: ")
      out.append(contentsOf: subprotocol)
    }
    if let deflate = acceptance.deflate {
      out.append(literal: "\r\nSec-WebSocket-Extensions: ")
      deflate.appendResponse(to: &out)
    }
    out.append(literal: "\r\n\r\n")
  }

  private static func faultOfRequest(_ request: Request) -> Rejection? {
    // RFC 6455 section 4.2.1, 1: a GET of HTTP/1.1 or higher; methods are case-sensitive (RFC 9110 section 9.1).
    guard request.method.elementsEqual("GET".utf8) else {
      return Rejection(status: 405, reason: "a WebSocket opens with GET", headers: [("Allow", "GET")])
    }
    guard request.versionMajor == 1, request.versionMinor >= 1 else { return bad("a WebSocket opens over HTTP/1.1") }
    // RFC 6455 section 4.2.1, 2.
    guard let host = request.host, !host.isEmpty else { return bad("Host is missing") }
    return nil
  }

  private static func faultOfUpgrade(_ request: Request) -> Rejection? {
    // RFC 6455 section 4.2.1, 3 and 4. A request that asks for no upgrade is answered so (RFC 9110 section 15.5.22).
    guard let upgrade = request.upgrade else { return upgradeRequired("this path speaks WebSocket only") }
    guard offersWebSocket(upgrade) else { return upgradeRequired("Upgrade does not name websocket") }
    guard let connection = request.connection, namesUpgrade(connection) else {
      return bad("Connection does not name Upgrade")
    }
    // RFC 6455 section 4.2.1, 6 and section 4.4: a version not spoken is answered with the one that is.
    guard let version = request.version else { return bad("Sec-WebSocket-Version is missing") }
    guard version.matches("13") else { return upgradeRequired("Sec-WebSocket-Version is not 13") }
    return nil
  }

  /// Looks for `websocket` in a list of protocols, each a token and perhaps a version after a slash (RFC 9110 section 7.8).
  private static func offersWebSocket(_ upgrade: [UInt8]) -> Bool {
    // What every browser sends.
    if upgrade.matches("websocket") { return true }
    return upgrade.split(separator: UInt8(ascii: ",")).contains { element in
      var text = TokenText(element.span)
      text.skipSpace()
      let name = text.token()
      text.skipSpace()
      return text.isAtEnd && name?.matches("websocket") == true
    }
  }

  private static func namesUpgrade(_ connection: [UInt8]) -> Bool {
    // What most clients send.
    if connection.matches("upgrade") { return true }
    return TokenText.list(connection.span)?.contains { $0.matches("upgrade") } == true
  }

  private static func bad(_ reason: StaticString) -> Rejection { Rejection(status: 400, reason: reason, headers: []) }

  private static func upgradeRequired(_ reason: StaticString) -> Rejection {
    Rejection(
      status: 426, reason: reason,
      headers: [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")])
  }
}
