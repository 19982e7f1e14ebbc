/// Names a part of Roost that reads bytes from outside, and checks what must hold whatever the bytes are.
///
/// The same checks serve the fuzzer, which looks for new inputs, and the ordinary tests, which repeat the known ones.
public enum FuzzTarget: String, CaseIterable, Sendable {
  case http
  case handshake
  case websocket
  case json
  case envelope
  case redis
  case settings
  case address
  case token
  case operations
  case backend
  case socketio

  /// Makes the check of one input after the other; it throws `Broken` when a promise was not kept.
  ///
  /// Confined to the thread that made it. A trap inside the code under test is not caught.
  public func makeCheck() -> ([UInt8]) throws(Broken) -> Void {
    switch self {
    case .http: return { input throws(Broken) in try HTTPTarget.check(input) }
    case .handshake: return { input throws(Broken) in try HandshakeTarget.check(input) }
    case .websocket:
      let target = WebSocketTarget()
      return { input throws(Broken) in try target.check(input) }
    case .json: return { input throws(Broken) in try JSONTarget.check(input) }
    case .envelope: return { input throws(Broken) in try EnvelopeTarget.check(input) }
    case .redis: return { input throws(Broken) in try RedisTarget.check(input) }
    case .token: return { input throws(Broken) in try TokenTarget.check(input) }
    case .operations:
      return { input throws(Broken) in
        let target = OperationsTarget(input)
        // What waits for answers holds the target weakly.
        defer { withExtendedLifetime(target) {} }
        try target.check()
      }
    case .backend: return { input throws(Broken) in try BackendTarget.check(input) }
    case .socketio: return { input throws(Broken) in try SocketIOTarget.check(input) }
    case .settings: return { input throws(Broken) in try SettingsTarget.check(input) }
    case .address: return { input throws(Broken) in try AddressTarget.check(input) }
    }
  }
}

/// Says which promise an input broke.
public struct Broken: Error, CustomStringConvertible {
  /// The promise, as a sentence.
  public let description: String
}

/// Throws unless the promise was kept.
func require(_ kept: Bool, _ promise: @autoclosure () -> String) throws(Broken) {
  guard kept else { throw Broken(description: promise()) }
}
