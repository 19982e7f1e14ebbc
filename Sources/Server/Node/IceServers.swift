import JSONCore
import LoopCore
import Realtime
import Settings

/// The STUN and TURN servers that clients are given for calls between browsers, by the action `ice`.
struct IceServers {
  private let stun: [String]
  private let turn: [String]
  private let credentials: Credentials

  private enum Credentials {
    case none
    case fixed(user: String, password: String)
    /// Passwords that expire, made from a secret shared with the TURN servers.
    case timed(secret: [UInt8], seconds: UInt64)
  }

  init(_ settings: ServerSettings) {
    stun = settings.iceServers.filter { $0.hasPrefix("stun") }
    turn = settings.iceServers.filter { $0.hasPrefix("turn") }
    if let secret = settings.iceSecret {
      credentials = .timed(secret: Array(secret.utf8), seconds: UInt64(settings.iceTTLMilliseconds / 1000))
    } else if let user = settings.iceUser, let password = settings.iceCredential {
      credentials = .fixed(user: user, password: password)
    } else {
      credentials = .none
    }
  }

  /// Returns `{"servers":[…],"ttl":seconds}`: an array that `RTCPeerConnection` takes as its `iceServers`, and, for
  /// passwords that expire, how long they are accepted. The password is that of coturn's `use-auth-secret`
  /// (draft-uberti-behave-turn-rest-00): the Base64 of HMAC-SHA1 over the user name `EXPIRY:USER`, in UNIX seconds.
  func answer(for user: [UInt8], now seconds: UInt64) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("servers")
    writer.beginArray()
    if !stun.isEmpty {
      writer.beginObject()
      write(stun, to: &writer)
      writer.endObject()
    }
    if !turn.isEmpty {
      writer.beginObject()
      write(turn, to: &writer)
      switch credentials {
      case .none: break
      case .fixed(let name, let password):
        write(Array(name.utf8), Array(password.utf8), to: &writer)
      case .timed(let secret, let lifetime):
        let name = Array("\(seconds + lifetime):".utf8) + user
        write(name, Base64.encode(Digest.hmacSHA1(name, key: secret).span), to: &writer)
      }
      writer.endObject()
    }
    writer.endArray()
    if case .timed(_, let lifetime) = credentials {
      writer.key("ttl")
      writer.unsigned(lifetime)
    }
    writer.endObject()
    return writer.finish()
  }

  private func write(_ urls: [String], to writer: inout JSONWriter) {
    writer.key("urls")
    writer.beginArray()
    for url in urls { writer.string(url) }
    writer.endArray()
  }

  private func write(_ name: [UInt8], _ password: [UInt8], to writer: inout JSONWriter) {
    writer.key("username")
    writer.string(name)
    writer.key("credential")
    writer.string(password)
  }
}
