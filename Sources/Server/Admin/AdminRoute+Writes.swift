import ClientProtocol
import Realtime

// What backends publish and operators order.

extension AdminRoute {
  private static let idempotencyKey = APIRoute.Parameter(
    name: "Idempotency-Key", schema: .named(.idempotencyKey),
    meaning: "A repetition with the same key within 5 minutes is not done again and gets the first answer.")

  private static func post(
    _ path: String, _ name: String, _ summary: String, _ access: APIRoute.Access, headers: [APIRoute.Parameter] = [],
    body: APIRoute.Body, _ answer: APIRoute.Answer, errors: [ErrorCode] = [], _ handler: Handler
  ) -> AdminRoute {
    AdminRoute(
      APIRoute(
        verb: .post, path: path, name: name, summary: summary, access: access, headers: headers, body: body,
        answers: [answer], errors: errors), handler)
  }

  static let publishing: [AdminRoute] = [
    post(
      "/admin/publish", "publish", "Publishes a message in a room, or in each of several.", .backend,
      headers: [idempotencyKey, .traceParent], body: .json(.named(.publish)),
      .json(
        200, "The message's position; of several rooms one result each, in their order.",
        .anyOf([.named(.published), .named(.publishedRooms)])),
      errors: [.badRoom], .body { $0.publish($1, $2) }),
    post(
      "/admin/broadcast", "broadcast", "Sends a message to every connection of the cluster.", .backend,
      headers: [idempotencyKey, .traceParent], body: .json(.named(.broadcast)),
      .json(200, "It was sent.", .named(.sent)),
      .body { $0.broadcast($1, $2) }),
    post(
      "/admin/direct", "direct", "Sends a message to every connection of a user.", .backend,
      headers: [idempotencyKey, .traceParent], body: .json(.named(.direct)),
      .json(200, "To how many connections it was sent.", .named(.delivered)), .body { $0.direct($1, $2) }),
    post(
      "/admin/batch", "batch",
      "Performs one publish, broadcast or direct for each line, in order; each is answered by one line.", .backend,
      headers: [.traceParent],
      body: APIRoute.Body(contents: [(NDJSON.contentType.description, .described(.string(min: 1), AdminBatch.lineForm))]
      ),
      APIRoute.Answer(
        status: 200, meaning: "One line for each, in order: its answer, or {\"error\":{\"code\":…,\"message\":…}}.",
        contents: [(NDJSON.contentType.description, .string())]),
      .plain { $0.batch($1) }),
  ]

  /// A user's connections or one connection.
  private static let whose: [ObjectSchema.Member] = [
    .optional("user", .named(.user)), .optional("connection", .string(min: 1)),
  ]

  private static let moved = Schema.open([
    .required("room", .named(.room)), .required("connections", .described(.integer(min: 0, max: nil), "Moved.")),
  ])

  private static let moveBody = APIRoute.Body.json(
    .closed(whose + [.required("room", .named(.room))], exactlyOneOf: ["user", "connection"]))

  /// Durations that are certainly within a year.
  private static let duration = Schema.string(
    pattern: "^([1-9][0-9]{0,5}s|[1-9][0-9]{0,4}m|[1-9][0-9]{0,2}h|[1-9][0-9]?d)$")

  static let orders: [AdminRoute] = [
    post(
      "/admin/disconnect", "disconnect", "Closes a user's connections, or one, with 4409.", .admin,
      body: .json(.closed(whose, exactlyOneOf: ["user", "connection"])),
      .json(200, "How many were closed.", .open([.required("disconnected", .integer(min: 0, max: nil))])),
      errors: [.notFound], .body { $0.disconnect($1, $2) }),
    post(
      "/admin/revoke", "revoke", "Refuses a user's tokens issued so far, or one token, for a time.", .admin,
      body: .json(
        .closed(
          [
            .optional("user", .named(.user)),
            .optional(
              "token",
              .described(.string(min: 1, max: AdminEndpoint.tokenBytesMax), "The jti, not the token itself.")),
            .optional("for", .described(duration, "24h by default, at most a year.")),
          ], exactlyOneOf: ["user", "token"])),
      .json(
        200, "Until when.",
        .open([
          .optional("user", .named(.user)), .optional("token", .string()),
          .required("until", .described(.integer(min: 0, max: nil), "Milliseconds since 1970.")),
        ])),
      .body { $0.revoke($1, $2) }),
    post(
      "/admin/subscribe", "subscribe", "Moves a user's connections, or one, into a room.", .admin, body: moveBody,
      .json(200, "How many are moved.", moved), errors: [.notFound, .badRoom], .body { $0.move($1, $2, .into) }),
    post(
      "/admin/unsubscribe", "unsubscribe", "Moves a user's connections, or one, out of a room.", .admin,
      body: moveBody, .json(200, "How many are moved.", moved), errors: [.notFound, .badRoom],
      .body { $0.move($1, $2, .outOf) }),
    post(
      "/admin/drain", "drain", "Begins the drain of a node: of this one, or of another by its id.", .admin,
      body: .json(.closed([.optional("node", .string(min: 1))]), isRequired: false),
      .json(200, "The node that drains.", .open([.required("node", .string())])), errors: [.notFound],
      .body { $0.drain($1, $2) }),
  ]
}
