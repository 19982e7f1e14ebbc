/// What is asked of a server, and where.
struct WireRequest: Sendable {
  var method = "GET"
  /// The last part of the path: `ws`, `sse`, `poll` or `send`.
  let endpoint: String
  /// Names and values, not encoded.
  var query: [(name: String, value: String)] = []
  var token: String?
  var body: [UInt8]?
  var bodyType = "application/json"

  init(_ endpoint: String) { self.endpoint = endpoint }
}

/// Something that happens to a ``WireConnection``.
enum WireEvent: Sendable {
  /// The WebSocket is open.
  case opened
  /// The head of the answer has come.
  case status(Int)
  /// Texts of a WebSocket that have come together.
  case texts([[UInt8]])
  /// Binary messages of a WebSocket.
  case binaries([[UInt8]])
  /// A part of an answer's body.
  case body([UInt8])
  case ended(WireEnd)
}

/// How a ``WireConnection`` ended.
enum WireEnd: Sendable {
  /// The answer is whole.
  case done
  /// The server closed the WebSocket.
  case closed(code: UInt16, reason: String)
  /// It broke, or was never open.
  case broken(String)
  /// The server answered with a status instead of opening the WebSocket.
  case refused(status: Int)
  /// Nothing listens there: no other way would do better.
  case unreachable(String)
}

extension WireEnd {
  /// The close code; 1006 where there was none (RFC 6455 section 7.4.1).
  var code: UInt16 { if case .closed(let code, _) = self { code } else { 1006 } }

  /// What happened, for people.
  var reason: String {
    switch self {
    case .closed(let code, let reason): reason.isEmpty ? "closed with \(code)" : reason
    case .broken(let reason), .unreachable(let reason): reason
    case .refused(let status): "the server answered \(status)"
    case .done: "the server ended the connection"
    }
  }
}

/// Bytes that may wait between a connection and its client before the connection is read no further.
let wireBytesMax = 8 << 20
