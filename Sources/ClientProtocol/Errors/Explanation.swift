/// What people need to know of an error or a close code: docs/errors.md is made of these. They are plain text with Markdown's
/// marks for code.
public struct Explanation: Sendable {
  /// What brings it about.
  public let cause: StaticString
  /// Who meets it: which clients, callers or programs.
  public let audience: StaticString
  /// What to do next.
  public let cure: StaticString

  init(cause: StaticString, audience: StaticString, cure: StaticString) {
    self.cause = cause
    self.audience = audience
    self.cure = cure
  }
}

extension ErrorCode {
  /// Cause and cure.
  public var explanation: Explanation {
    switch self {
    case .badRequest:
      Explanation(
        cause:
          "malformed JSON, a field that is missing or has the wrong type, an unknown query parameter, a wrong method",
        audience: "clients, backends",
        cure: "correct the program: the message names the field and what it must be. The same again fails again")
    case .unknownType:
      Explanation(
        cause: "the operation's `type` is none of the protocol's",
        audience: "clients; backends in a batch",
        cure:
          "compare with the list in the message. A newer client on an older node meets it too: update the nodes first")
    case .badRoom:
      Explanation(
        cause: """
          a room's name is empty, longer than 200 bytes, not UTF-8, or has control characters; a wildcard is used for anything \
          but joining and leaving, or Redis allows none (a Redis Cluster, an ACL without patterns)
          """,
        audience: "clients, backends",
        cure: "check names before they are sent; wildcards have rules of their own (Rooms)")
    case .notJoined:
      Explanation(
        cause: "a `message` or a `state` for a room that this connection has not joined, or was moved out of",
        audience: "clients with a connection",
        cure:
          "join first. After a reconnect join again: a new connection is in no room. `roost.js` and `RoostClient` do both"
      )
    case .forbidden:
      Explanation(
        cause: """
          the token's `rooms` or `permissions` do not allow it, the room's rule does not, the backend refused it \
          (`webhook-ask`), the page's origin is not listed, or the connection is another user's
          """,
        audience: "clients",
        cure:
          "the message says which. Issue a token that allows it, or change the room's rule; trying again changes nothing"
      )
    case .unauthenticated:
      Explanation(
        cause:
          "there is no token, or it is wrong, expired or revoked; under `/admin` the `admin-token` or `api-key` is wrong",
        audience: "clients, backends, the command line",
        cure: "get a new token. `roost token` makes one to compare with; the admin token is the node's, not a user's")
    case .tooLarge:
      Explanation(
        cause: """
          a `state` of more than 1 KiB; over HTTP a body of more than `max-message` bytes, a batch beyond its limit, or a \
          head or target that is too long. Over a WebSocket too large a message is close code 1009
          """,
        audience: "clients, backends",
        cure: "send less at once, or raise `max-message` on all nodes")
    case .rateLimited:
      Explanation(
        cause: """
          a limit was exceeded: `rate`, `rate-bytes`, `room-rate`, `direct-rate`, `new-room-rate`, `node-new-room-rate`, \
          `max-connections-per-address`, `admin-guesses`, or too much waits for the backend's decisions
          """,
        audience: "clients, backends",
        cure: """
          nothing was done: wait a second, or `Retry-After`, and send again. `roost_limit_refusals_total` names the limit. If \
          all clients seem to have one address, set `trusted-proxies`
          """)
    case .tooManyRooms:
      Explanation(
        cause: "the connection is in `max-rooms` rooms, or the node has `max-wildcards` wildcards",
        audience: "clients",
        cure: "leave rooms that are not shown, join a wildcard instead of many rooms, or raise the setting")
    case .unavailable:
      Explanation(
        cause: """
          Redis, the connection's node or the backend cannot be reached now; the node is full or drains, or \
          `handshake-rate` was exceeded. Nothing was published, unless the message states that it may have been
          """,
        audience: "clients, backends, the command line",
        cure: """
          send it again in a moment: a `message` with the same `id` is published once, a `direct` or `broadcast` may arrive \
          twice. Operators: `/readyz` and the log name the reason, `roost doctor` looks for it
          """)
    case .notFound:
      Explanation(
        cause: "no such path, action, hook, node or connection; a connection that has ended is not found either",
        audience: "clients over HTTP, clients with `request`, backends",
        cure: "check the name. If a poll connection has ended, open another one with `since`")
    case .internal:
      Explanation(
        cause:
          "what Redis holds for a room has another form than Roost's, a node failed, or a handler of the program did",
        audience: "clients, backends",
        cure:
          "tell the operator: the node's log names the key. If another program writes to these keys, set `redis-prefix`"
      )
    }
  }
}

extension CloseReason {
  /// Cause and cure.
  public var explanation: Explanation {
    switch self {
    case .draining:
      Explanation(
        cause: "the node is stopped or restarted in order", audience: "every connection of that node",
        cure:
          "connect again: a balancer sends the client to another node, where it resumes. Expected in each rolling restart"
      )
    case .full:
      Explanation(
        cause: "the node has `max-connections` connections", audience: "new connections",
        cure: "connect again later. Operators: add nodes, or raise `max-connections` and the limit on open files")
    case .tokensUnjudged:
      Explanation(
        cause: "the keys at the `jwks` address could not be fetched within `auth-timeout`", audience: "new connections",
        cure:
          "connect again later. Operators: the log has the fetch's error; ask for the address with curl from the node's machine"
      )
    case .connectUndecided:
      Explanation(
        cause: "the backend that is asked about connections (`webhook-ask`, `auth=webhook`) did not answer in time",
        audience: "new connections",
        cure: "connect again later. Operators: `roost_webhook_calls_total` and the log show what the backend answers")
    case .roomUnavailable:
      Explanation(
        cause:
          "a room of an event stream, or a namespace of Socket.IO, could not be joined: Redis is out of reach, or a limit",
        audience: "event streams, Socket.IO clients", cure: "connect again; `/readyz` shows when Redis is back")
    case .notAuthenticated:
      Explanation(
        cause: """
          the token is missing, wrong, expired or revoked, or none came within `auth-timeout`; the `auth_failed` before the \
          close states the reason
          """,
        audience: "clients, when `auth` is not `none`",
        cure: """
          get a new token, then connect. Give roost.js a function as `token`, so that it gets a new one before the old one \
          expires
          """)
    case .forbidden:
      Explanation(
        cause: "an event stream or a poll was refused with status 403: its origin or its rooms are not allowed",
        audience:
          "roost.js over these transports, which reports the status as this code; no node closes a WebSocket with it",
        cure: "add the page to `origins`, or issue a token whose `rooms` name the room")
    case .slowConsumer:
      Explanation(
        cause: "the client reads more slowly than its rooms speak: more than `max-queue` bytes were waiting for it",
        audience: "slow clients of busy rooms",
        cure: """
          connect again with `since`: nothing is lost that history holds. If it happens often, set a room rule (`slow`, \
          `throttle`), raise `max-queue`, or join fewer rooms
          """)
    case .nothingRead:
      Explanation(
        cause: "the client read nothing of an answer for 30 to 60 s",
        audience: "clients on a dead network, suspended programs",
        cure: "connect again with `since`")
    case .messageUnfinished:
      Explanation(
        cause: "a message took longer than `message-timeout` to arrive",
        audience: "clients on very slow lines; attackers",
        cure: "send smaller messages, or raise `message-timeout`")
    case .closedByAdmin:
      Explanation(
        cause: "`roost disconnect`, `POST /admin/disconnect` or the dashboard", audience: "the user that it named",
        cure:
          "none by itself: the user, or the program, decides when to connect again. To keep a user out, revoke the token"
      )
    case .rateLimited:
      Explanation(
        cause: "a thousand operations were refused within 10 s, or five seconds' worth of `rate` if that is more",
        audience: "clients that send without looking at answers",
        cure: "send less: wait for answers, and wait after `rate_limited`. Connect again after 10 s or more")
    case .tooManyConnections:
      Explanation(
        cause: "the user has `max-connections-per-user` connections on the node",
        audience: "users with many tabs; leaking clients",
        cure: "close connections that are not used: one for each page is enough for all rooms. Or raise the limit")
    }
  }
}
