/// The paths of clients and of everyone, described. `Routes` dispatches them; what answers them is in `Transports` and
/// `IncomingHooks`.
enum ClientRoutes {
  static let all = [send, sse, poll, endPoll, hook, health, readiness]

  private static let room = APIRoute.Parameter(
    name: "room", schema: .named(.roomOrWildcard), meaning: "A room to join; a name that ends in * is a wildcard.",
    repeats: true)
  private static let user = APIRoute.Parameter(
    name: "user", schema: .named(.user), meaning: "The user's name, where the node asks for no tokens.")

  private static func connection(_ meaning: String, isRequired: Bool = false) -> APIRoute.Parameter {
    APIRoute.Parameter(name: "connection", schema: .string(min: 1), meaning: meaning, isRequired: isRequired)
  }

  private static let send = APIRoute(
    verb: .post, path: "/send", name: "send",
    summary: "Performs one operation of a client, or one for each line, and answers as over a WebSocket.",
    access: .client,
    query: [connection("The connection, as welcome names it, whose operation it is; without it nobody's."), user],
    headers: [.traceParent],
    body: APIRoute.Body(contents: [
      ("application/json", .named(.operation)),
      (NDJSON.contentType.description, .described(.string(min: 1), "One operation on each line.")),
    ]),
    answers: [
      APIRoute.Answer(
        status: 200, meaning: "The answer that a WebSocket would have got; of lines one line each, in order.",
        contents: [("application/json", .named(.event)), (NDJSON.contentType.description, .string())])
    ], errors: [.notFound])

  private static let sse = APIRoute(
    verb: .get, path: "/sse", name: "stream",
    summary: "Opens a connection whose events come as Server-Sent Events.", access: .client,
    query: [
      room, user,
      APIRoute.Parameter(
        name: "last-event-id", schema: .string(), meaning: "The id of the last event that was received: resumes."),
    ],
    headers: [
      APIRoute.Parameter(name: "Last-Event-ID", schema: .string(), meaning: "The same, as browsers send it.")
    ],
    answers: [
      APIRoute.Answer(
        status: 200, meaning: "Events, until one side ends it.", contents: [("text/event-stream", .string())])
    ], errors: [.badRoom])

  private static let poll = APIRoute(
    verb: .get, path: "/poll", name: "poll",
    summary: "Reads what came in a room since a position, or what a connection of polls has to get.", access: .client,
    query: [
      room, user,
      APIRoute.Parameter(
        name: "since", schema: .named(.position), meaning: "The position to go on from, one for each room.",
        repeats: true),
      APIRoute.Parameter(
        name: "wait", schema: .string(pattern: "^(0|[1-9][0-9]*(ms|s))$"),
        meaning: "How long to wait when there is nothing; 25s by default, 0 answers at once."),
      connection("new opens a connection; else the connection that is polled."),
      APIRoute.Parameter(
        name: "seq", schema: .integer(min: 0, max: nil), meaning: "Confirms everything up to this answer."),
    ],
    headers: [APIRoute.Parameter(name: "If-None-Match", schema: .string(), meaning: "The ETag of an answer.")],
    answers: [
      .json(
        200, "Of a room: its position and messages. Of a connection: its name, the answer's number, what it gets.",
        .anyOf([
          .open([
            .required("room", .named(.room)), .required("epoch", .named(.epoch)),
            .required("offset", .integer(min: 0, max: nil)), .required("recovered", .bool),
            .required("messages", .array(.named(.message))), .optional("more", .bool),
          ]),
          .open([
            .optional("connection", .string()), .required("seq", .integer(min: 0, max: nil)),
            .required("messages", .array(.named(.event))), .optional("more", .bool),
          ]),
        ])),
      APIRoute.Answer(status: 304, meaning: "Nothing is new.", contents: []),
    ], errors: [.badRoom, .notFound])

  private static let endPoll = APIRoute(
    verb: .delete, path: "/poll", name: "endPoll", summary: "Ends a connection of polls at once.", access: .client,
    query: [connection("The connection.", isRequired: true), user],
    answers: [APIRoute.Answer(status: 204, meaning: "It has ended.", contents: [])], errors: [.notFound])

  private static let hook = APIRoute(
    verb: .post, path: "/hooks/{name}", name: "receiveHook",
    summary: "Takes the signed event of another service and publishes it in the room of the hook.", access: .signature,
    pathSchema: .string(min: 1, max: 64, pattern: "^[A-Za-z0-9._-]+$"),
    headers: [
      APIRoute.Parameter(
        name: "X-Hub-Signature-256", schema: .string(), meaning: "Of the scheme github: sha256=HEX of the body."),
      APIRoute.Parameter(name: "X-GitHub-Event", schema: .string(), meaning: "Of the scheme github: the event."),
      APIRoute.Parameter(
        name: "X-GitHub-Delivery", schema: .string(), meaning: "Of the scheme github: the delivery's id."),
      APIRoute.Parameter(
        name: "Stripe-Signature", schema: .string(), meaning: "Of the scheme stripe: t=UNIX,v1=HEX of t.body."),
      APIRoute.Parameter(
        name: "Roost-Signature", schema: .string(), meaning: "Of the scheme roost: t=UNIX,v1=HEX of t.body."),
      .traceParent,
    ],
    body: .json(.open([])),
    answers: [.json(200, "It was published, now or by an earlier delivery.", .named(.published))],
    errors: [.notFound])

  private static let health = APIRoute(
    verb: .get, path: "/healthz", name: "readHealth", summary: "Whether the process lives.", access: .everyone,
    answers: [.text(200, "It lives.")])

  private static let readiness = APIRoute(
    verb: .get, path: "/readyz", name: "readReadiness", summary: "Whether clients may be sent here.", access: .everyone,
    answers: [.text(200, "They may."), .text(503, "Not now: it drains, or Redis is out of reach.")])
}
