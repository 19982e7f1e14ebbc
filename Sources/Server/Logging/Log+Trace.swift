import HTTPCore
import JSONCore
import Realtime
import TimeCore
import WebSocketCore

// What `--log-level debug` adds: connections, tokens, rooms. Each call site asks for the log first (`trace?`), which is
// nil at any other level, so nothing is built then.

extension Log {
  /// Writes an event of the hub.
  func trace(_ event: HubEvent) {
    switch event {
    case .connected(let connection, let transport, let address):
      debug(
        "connected", ("connection", Log.text(connection)), ("transport", "\(transport.name)"),
        ("address", Log.text(address)))
    case .identified(let connection, let user, _, _):
      debug("identified", ("connection", Log.text(connection)), ("user", Log.text(user)))
    case .notAuthenticated(let connection, let reason):
      debug("not authenticated", ("connection", Log.text(connection)), ("reason", reason))
    case .tokenUnjudged(let connection, let reason):
      debug("cannot judge a token", ("connection", Log.text(connection)), ("reason", reason))
    case .roomCreated(let room): debug("room created", ("room", Log.text(room)))
    case .roomEnded(let room): debug("room ended", ("room", Log.text(room)))
    case .published(let room, let position, let bytes):
      // Who has a message traced wants to find it; the others happen too often for a log.
      guard let trace = Envelope(bytes.span)?.traceContext(in: bytes.span) else { return }
      debug("published", ("room", Log.text(room)), ("offset", position.offset), ("trace", Log.text(trace.text)))
    // The table says more of the end of a connection.
    case .disconnected, .userChanged: break
    }
  }

  /// Names are valid UTF-8; other bytes show as replacement characters.
  static func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }
}

extension Log {
  /// Bytes of a request's path that a line holds.
  private static let tracedPathBytesMax = 200
  /// Bytes of its method; all that are known are shorter.
  private static let tracedMethodBytesMax = 20

  /// Notes how a WebSocket ends.
  ///
  /// - Parameters:
  ///   - event: what ends it.
  ///   - code: of the close frame; nil without one.
  func traceEnd(_ event: String, connection: String, address: [UInt8], _ code: CloseCode?, reason: String) {
    let address = Log.text(address)
    if let code, !reason.isEmpty {
      debug(
        event, ("connection", connection), ("address", address), ("code", Int(code.rawValue)), ("reason", reason))
    } else if let code {
      debug(event, ("connection", connection), ("address", address), ("code", Int(code.rawValue)))
    } else {
      debug(event, ("connection", connection), ("address", address))
    }
  }

  /// Notes how a request was answered, a refused handshake among them. The query, which may hold a token, is left out.
  ///
  /// - Parameters:
  ///   - id: what the request is called.
  ///   - time: since its head was read.
  func traceAnswer(
    to head: RequestHead, _ response: Response, address: [UInt8], request id: [UInt8], _ time: Interval
  ) {
    var fields: [(StaticString, any LogValue)] = [
      ("request", Log.text(id)), ("address", Log.text(address)),
      ("method", Log.text([UInt8](copying: head.methodName).prefix(Log.tracedMethodBytesMax))),
      ("path", Log.text(head.path.prefix(Log.tracedPathBytesMax))), ("status", response.status),
      ("milliseconds", time.milliseconds),
    ]
    if let trace = head.trace { fields.append(("trace", Log.text(trace.text))) }
    guard response.status >= 400 else { return debug("request answered", fields) }
    let words = (try? JSONValue.parse(response.body.span))?["error"]?["message"]?.asString
    debug("request refused", fields + [("reason", words ?? "")])
  }
}
