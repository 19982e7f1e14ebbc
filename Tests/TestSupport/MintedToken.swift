import JSONCore
import LoopCore

/// Tokens for nodes that are started with `MintedToken.flags`.
package enum MintedToken {
  private static let secret = "a secret of thirty-two bytes or more"
  package static let flags = ["--auth", "jwt", "--jwt-secret", secret]

  /// Signs a token of the given claims, the members of a JSON object without its braces (RFC 7515 section 3.1). Without
  /// `exp` it is good until the year 2100, or for ever when it shall not expire.
  package static func make(_ claims: String, expires: Bool = true) throws -> String {
    func part(_ text: String) -> [UInt8] {
      let bytes = Array(text.utf8)
      return Base64URL.encode(bytes.span)
    }
    let expiry = !expires || claims.contains("\"exp\"") ? "" : ",\"exp\":4102444800"
    let signed = part(#"{"alg":"HS256","typ":"JWT"}"#) + Array(".".utf8) + part("{\(claims)\(expiry)}")
    guard let signature = SharedSecret(Array(secret.utf8)).sign(signed, by: .hs256) else {
      throw TestFailure("cannot sign a token")
    }
    return String(decoding: signed + Array(".".utf8) + Base64URL.encode(signature.span), as: UTF8.self)
  }
}

extension RoostProcess {
  /// Opens a WebSocket with a token and takes its `welcome`.
  package func connect(token: String) throws -> WebSocketClient {
    let client = try WebSocketClient(port: port, target: "/ws?token=\(token)")
    try client.expect("welcome")
    return client
  }
}
