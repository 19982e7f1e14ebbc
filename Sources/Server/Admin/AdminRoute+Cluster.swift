import ClientProtocol
import Realtime

// What the memory of all nodes tells together.

extension AdminRoute {
  private static let moment = Schema.described(count, "Milliseconds since 1970.")

  /// What the node that holds a connection adds to what presence has; absent when that node does not answer.
  static let connectionDetails: [ObjectSchema.Member] = [
    .optional("queue", .described(count, "Bytes that wait for it to read.")),
    .optional("roomCount", .described(count, "Rooms and wildcards that it is in.")),
    .optional(
      "rooms",
      .described(
        .array(.open([.required("room", .named(.room)), .required("since", moment)]), max: HubInspector.roomsMax),
        "The first \(HubInspector.roomsMax) of them.")),
    .optional("wildcards", .array(.string(min: 1))),
    .optional(
      "token",
      .open([
        .optional("id", .described(.string(), "Its jti, by which it can be revoked.")), .optional("issued", moment),
        .optional("expires", moment), .required("broadcast", .bool),
      ])),
  ]

  /// Which nodes an answer is of.
  private static let coverage: [ObjectSchema.Member] = [
    .required("nodes", .array(.string(min: 1), max: ClusterReads.nodesMax)),
    .required("missing", .described(.array(.string(min: 1)), "Nodes that have not answered, or were not asked.")),
    .optional("incomplete", .described(.bool, "Whether the broker is out of reach: this node alone is known.")),
  ]

  private static let histogram = Schema.open([
    .required(
      "bounds", .described(.array(.any), "Upper bounds of the buckets in milliseconds; one more has what is above.")),
    .required("counts", .described(.array(.array(count)), "For each time, without the empty buckets at the end.")),
  ])

  private static let statsSchema = Schema.open(
    [
      .optional("interval", .described(count, "Milliseconds between two times.")),
      .optional("times", .described(.array(moment), "The ends of the intervals.")),
      .optional(
        "series", .open(HistorySeries.allCases.map { .optional("\($0.name)", .array(count)) })),
      .optional("delivery", histogram), .optional("redis", histogram),
      .optional("answering", .described(.named(.node), "The report of the node that answers.")),
    ] + coverage)

  static let clusterReads: [AdminRoute] = [
    read(
      "/admin/stats", "readStats", "The last 15 minutes of the cluster or of a node, in steps of 5 seconds.",
      query: [
        APIRoute.Parameter(
          name: "node", schema: .string(min: 1), meaning: "Only this node; without it the sum of all."),
        APIRoute.Parameter(
          name: "since", schema: .integer(min: 0, max: nil),
          meaning: "Only what came after this moment, in milliseconds since 1970."),
      ], statsSchema, errors: [.notFound], .plain { ClusterAnswers($0).stats($1) }),
    read(
      "/admin/top-rooms", "listTopRooms", "The rooms with the most connections, or with the most messages.",
      query: [
        APIRoute.Parameter(
          name: "by", schema: .choice(["connections", "messages"]), meaning: "What counts; connections by default."),
        limit(RoomTraffic.roomsMax / 2, max: RoomTraffic.roomsMax, of: "Rooms"),
      ],
      .open(
        [
          .required(
            "rooms",
            .array(
              .open([
                .required("room", .named(.room)), .required("connections", count),
                .required("rate", .described(.any, "Messages a second since the last look; null at the first one.")),
              ])))
        ] + coverage), .plain { ClusterAnswers($0).topRooms($1) }),
  ]

  /// A request without an upgrade. OpenAPI has no words for WebSockets.
  static let live = AdminRoute(
    APIRoute(
      verb: .get, path: "/admin/live", name: "openLive",
      summary: "A WebSocket on which an operator is sent what it watches.", access: .admin,
      answers: [APIRoute.Answer(status: 101, meaning: "The WebSocket is open.", contents: [])]),
    .plain { $0.refuse($1, .badRequest, "this path is a WebSocket: send an upgrade") })
}
