import ClientProtocol
import HTTPCore
import Realtime

/// A path below `/admin`: its description, and what answers it.
struct AdminRoute: Sendable {
  /// What answers, with what it is given besides the request.
  enum Handler: Sendable {
    case plain(@Sendable (AdminEndpoint, Request) -> Void)
    /// The decoded name at the end of the path.
    case named(@Sendable (AdminEndpoint, Request, [UInt8]) -> Void)
    /// The JSON object of the body, whose members were checked against the description.
    case body(@Sendable (AdminEndpoint, Request, AdminBody) -> Void)
  }

  let api: APIRoute
  let handler: Handler
  /// The segment after `/admin/`.
  private let section: String
  private let takesName: Bool

  init(_ api: APIRoute, _ handler: Handler) {
    self.api = api
    self.handler = handler
    section = String(api.path.dropFirst("/admin/".count).prefix { $0 != "/" })
    takesName = api.pathParameter != nil
  }

  /// The routes of the document, in its order.
  static let described = reads + clusterReads + publishing + orders
  /// Every route.
  static let all = described + [live]

  /// Whether it is of a path.
  ///
  /// - Parameters:
  ///   - section: the segment after `/admin/`.
  ///   - hasName: whether another segment follows, with something in it.
  func matches(_ section: String, hasName: Bool) -> Bool {
    self.section == section && takesName == hasName
  }

  /// Whether a line of a batch may be of this type.
  func isLine(of type: String) -> Bool { type == section && api.body?.contents.first?.type == "application/json" }

  /// Whether it answers a method; GET includes HEAD.
  func answers(_ method: HTTPCore.Method) -> Bool {
    switch api.verb {
    case .get: method == .get || method == .head
    case .post: method == .post
    case .delete: method == .delete
    }
  }
}

// MARK: Reading

extension AdminRoute {
  static func read(
    _ path: String, _ name: String, _ summary: String, pathSchema: Schema = .string(min: 1),
    query: [APIRoute.Parameter] = [], _ schema: Schema, errors: [ErrorCode] = [], _ handler: Handler
  ) -> AdminRoute {
    AdminRoute(
      APIRoute(
        verb: .get, path: path, name: name, summary: summary, access: .admin, pathSchema: pathSchema, query: query,
        answers: [.json(200, summary, schema)], errors: errors), handler)
  }

  static func limit(_ standard: Int, max: Int, of things: String) -> APIRoute.Parameter {
    APIRoute.Parameter(
      name: "limit", schema: .integer(min: 1, max: max), meaning: "\(things) on a page; \(standard) by default.")
  }

  static let count = Schema.integer(min: 0, max: nil)
  private static let cursor = ObjectSchema.Member.required(
    "cursor", .described(.anyOf([.string(), .null]), "Asks for the next page; null on the last one."))

  private static func cursorParameter(_ schema: Schema) -> APIRoute.Parameter {
    APIRoute.Parameter(name: "cursor", schema: schema, meaning: "The cursor of the page before.")
  }

  private static let roomsQuery = [
    APIRoute.Parameter(name: "prefix", schema: .string(), meaning: "Only rooms whose name begins so."),
    limit(AdminEndpoint.roomsPerPageDefault, max: AdminEndpoint.roomsPerPageMax, of: "Rooms"),
    cursorParameter(.string()),
  ]

  private static let roomsSchema = Schema.open([
    .required(
      "rooms",
      .array(.open([.required("room", .named(.room)), .required("members", .described(count, "Users."))]))),
    cursor,
    .optional("incomplete", .described(.bool, "Whether a master out of reach may know more rooms.")),
  ])

  private static let reads: [AdminRoute] = [
    read(
      "/admin/presence/{room}", "readPresence", "Who is in a room, ascending by user.", pathSchema: .named(.room),
      query: [
        limit(Limits.presenceLimitDefault, max: Limits.presenceLimitMax, of: "Users"), cursorParameter(.string()),
      ],
      .open([
        .required("room", .named(.room)), .required("members", .array(.named(.member))), cursor,
        .required("count", .described(count, "Connections in the room.")),
        .required("users", .described(count, "Users in the room.")),
      ]), errors: [.badRoom], .named { $0.presence($1, $2) }),
    read(
      "/admin/presence", "listRoomsWithMembers", "Rooms of the cluster with the number of their users.",
      query: roomsQuery, roomsSchema, .plain { $0.rooms($1) }),
    read(
      "/admin/rooms", "listRooms", "Rooms of the cluster with the number of their users.", query: roomsQuery,
      roomsSchema, .plain { $0.rooms($1) }),
    read(
      "/admin/nodes", "listNodes", "Live nodes with their last report.",
      .open([
        .required("nodes", .array(.named(.node))),
        .optional("node", .described(.string(), "The node that answers.")), .optional("auth", .string()),
        .optional("warnings", .described(.array(.string()), "What is not fit for the internet.")),
      ]), .plain { $0.nodes($1) }),
    read(
      "/admin/users/{user}", "readUser", "The connections of a user.", pathSchema: .named(.user),
      .open([
        .required("user", .named(.user)), .required("connections", .array(.named(.connection))),
        .required("count", count),
      ]), .named { $0.connections($1, of: $2) }),
    read(
      "/admin/connections/{id}", "readConnection", "One connection with its user.",
      .open(
        SchemaName.connectionMembers + [.required("user", .named(.user)), .optional("info", .any)]
          + connectionDetails),
      errors: [.notFound], .named { $0.connection($1, named: $2) }),
    read(
      "/admin/history/{room}", "readHistory", "What a room keeps, at most 1 MiB of it.", pathSchema: .named(.room),
      query: [
        limit(Limits.historyLimitDefault, max: Limits.historyReadMax, of: "Messages"),
        APIRoute.Parameter(
          name: "since", schema: .named(.position),
          meaning: "What follows this position, oldest first; without it the newest."),
      ],
      .open([
        .required("room", .named(.room)), .required("epoch", .named(.epoch)), .required("offset", count),
        .required("messages", .array(.named(.message))),
        .optional("more", .described(.bool, "Whether later messages are left: ask again with since.")),
      ]), errors: [.badRoom], .named { $0.history($1, $2) }),
    read(
      "/admin/openapi.json", "readDescription", "This document.",
      .open([.required("openapi", .string()), .required("info", .any), .required("paths", .any)]),
      .plain { $0.describe($1) }),
  ]
}

extension AdminRoute {
  /// What the api-key opens, for people.
  static let backendPaths = all.filter { $0.api.access == .backend }
    .map { "\($0.api.verb == .get ? "GET" : "POST") \($0.api.path)" }.joined(separator: ", ")
}
