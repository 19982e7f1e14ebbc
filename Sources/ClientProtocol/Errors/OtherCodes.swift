/// Close codes that RFC 6455 section 7.4.1 defines, as far as a client of a node meets them.
public enum StandardClose: UInt16, CaseIterable, Sendable {
  case normal = 1000
  case goingAway = 1001
  case protocolError = 1002
  case unsupportedData = 1003
  case abnormal = 1006
  case invalidData = 1007
  case policy = 1008
  case tooBig = 1009
  case serverError = 1011

  /// Cause and cure.
  public var explanation: Explanation {
    switch self {
    case .normal:
      Explanation(
        cause: "the client closed the connection, and the node answers with the client's code",
        audience: "every client",
        cure: "none is needed")
    case .goingAway:
      Explanation(
        cause: "a page is left, or a proxy in between stops; a node says 1012", audience: "clients behind proxies",
        cure: "connect again")
    case .protocolError:
      Explanation(
        cause: "a frame breaks RFC 6455; the reason names the section", audience: "authors of WebSocket clients",
        cure: "correct the client, or the proxy that changes frames")
    case .unsupportedData, .policy:
      Explanation(
        cause: "a proxy in between refuses the connection or its data; a node does not send it",
        audience: "clients behind proxies",
        cure: "look at the proxy's log and rules")
    case .abnormal:
      Explanation(
        cause: """
          the connection ended without a close frame: the network broke, the node was killed, or a proxy closed what was \
          silent. No program sends this code
          """,
        audience: "every client",
        cure: """
          connect again and resume. If it happens after the same time again and again, a proxy's time-out is shorter than \
          `ping-interval`: `roost doctor --url` measures it
          """)
    case .invalidData:
      Explanation(
        cause: "a text message is not UTF-8, or a compressed one is no deflate stream",
        audience: "authors of WebSocket clients",
        cure: "send bytes as binary messages; correct the client's compression")
    case .tooBig:
      Explanation(
        cause: "a message is larger than `max-message`; the node closes when it reads the length",
        audience: "clients that send much",
        cure: "send less at once, or raise `max-message` on all nodes. The same message again is refused again")
    case .serverError:
      Explanation(
        cause: "a proxy in between failed; a node does not send it", audience: "clients behind proxies",
        cure: "connect again")
    }
  }
}

/// Error codes that `roost.js` and `RoostClient` make by themselves, without the server.
public enum LibraryError: String, CaseIterable, Sendable {
  case closed
  case disconnected
  case expired
  case queueFull = "queue_full"
  case overflow
  case tooSlow = "too_slow"
  case unsupported
  case badAddress = "bad_address"
  case cancelled
  case failed

  /// Cause and cure.
  public var explanation: Explanation {
    switch self {
    case .closed:
      Explanation(
        cause:
          "the connection is closed for good: by `close()`, or by the server with a code after which clients stay away",
        audience: "both libraries",
        cure: "the state has the close code, which the table above explains; `connect()` opens the connection again")
    case .disconnected:
      Explanation(
        cause:
          "the connection was lost before the answer to a `direct`, `broadcast` or `request`, which may have been done",
        audience: "both libraries", cure: "decide whether doing it twice is harmless, and call again")
    case .expired:
      Explanation(
        cause: "a call was sent, and not answered for 4 minutes: the server may have forgotten its id",
        audience: "both libraries", cure: "read `history` to see whether the message is there, then call again")
    case .queueFull:
      Explanation(
        cause: """
          more calls wait for the connection than `pendingMax` or `pendingBytesMax` allow (`offlineCallsMax`, `offlineBytesMax` \
          in Swift)
          """,
        audience: "both libraries",
        cure: "nothing was sent: wait for the earlier calls, or drop what is old")
    case .overflow:
      Explanation(
        cause: "a `for await` loop reads more slowly than its room speaks: more than `buffer` messages waited",
        audience: "`roost.js`", cure: "do less in the loop, raise `buffer`, or use a callback; begin the loop anew")
    case .tooSlow:
      Explanation(
        cause:
          "a loop over a sequence reads more slowly than messages come: more than `backlogMax` or `backlogBytesMax` waited",
        audience: "`RoostClient`", cure: "do less in the loop, or raise the option; ask for the sequence anew")
    case .unsupported:
      Explanation(
        cause: "the runtime has none of the transports that are allowed", audience: "both libraries",
        cure: "allow more `transports`, or set the option `webSocket` (Node 20)")
    case .badAddress:
      Explanation(
        cause: "the server's address cannot be used", audience: "`RoostClient`; `roost.js` throws a TypeError",
        cure: "write `https://host` or `wss://host/ws`")
    case .cancelled:
      Explanation(
        cause: "the task that waited for the answer was cancelled", audience: "`RoostClient`",
        cure: "none: what was sent may still be done")
    case .failed:
      Explanation(
        cause: "a backend, or a handler, answered `\"ok\":false` to a `request` without a code",
        audience: "both libraries",
        cure: "let the backend answer `{\"code\":…,\"message\":…}`")
    }
  }
}
