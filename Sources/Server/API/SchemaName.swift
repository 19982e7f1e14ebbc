import ClientProtocol
import Realtime

/// The schemas that stand in the document once, under their name, wherever they are used.
enum SchemaName: String, CaseIterable, Sendable {
  case error = "Error"
  case refusal = "Refusal"
  case room = "Room"
  case roomOrWildcard = "RoomOrWildcard"
  case user = "User"
  case epoch = "Epoch"
  case position = "Position"
  case connection = "Connection"
  case member = "Member"
  case node = "Node"
  case message = "Message"
  case data = "Data"
  case idempotencyKey = "IdempotencyKey"
  case published = "Published"
  case publishedRooms = "PublishedRooms"
  case sent = "Sent"
  case delivered = "Delivered"
  case publish = "Publish"
  case broadcast = "Broadcast"
  case direct = "Direct"
  case operation = "Operation"
  case event = "Event"

  /// No control character (Unicode's category Cc).
  private static let plain = "[^\\u0000-\\u001F\\u007F-\\u009F]"
  /// The same without a star, which a room's name must not end in.
  private static let plainWithoutStar = "[^*\\u0000-\\u001F\\u007F-\\u009F]"

  /// What values of that name look like.
  var schema: Schema {
    switch self {
    case .error: Self.errorSchema
    // What a client is answered with by `/send`, as over a WebSocket, or the error of all other paths.
    case .refusal:
      .anyOf([
        .named(.error),
        .open([
          .required("type", .choice(["error"])), .required("code", .choice(ErrorCode.allCases.map(\.rawValue))),
          .required("message", .string()), .optional("id", .string()),
        ]),
      ])
    case .room:
      .described(
        .string(min: 1, max: RoomName.bytesMax, pattern: "^\(Self.plain)*\(Self.plainWithoutStar)$"),
        "A room: at most \(RoomName.bytesMax) bytes of UTF-8 without control characters, and no * at the end.")
    case .roomOrWildcard:
      .described(
        .string(min: 1, max: RoomName.bytesMax, pattern: "^\(Self.plain)+$"),
        "A room, or every room that begins as a name that ends in *.")
    case .user:
      .described(
        .string(min: 1, max: RoomName.bytesMax, pattern: "^\(Self.plain)+$"),
        "A user: at most \(RoomName.bytesMax) bytes of UTF-8 without control characters.")
    case .epoch: .string(min: 1, max: 16, pattern: "^[1-9a-f][0-9a-f]*$")
    case .position:
      // The greatest offset, 2^53 - 1, has 16 digits; no room comes near it.
      .described(
        .string(pattern: "^[1-9a-f][0-9a-f]{0,15}:(0|[1-9][0-9]{0,14})$"), "EPOCH:OFFSET, as an answer has them.")
    case .connection: Self.connectionSchema
    case .member:
      .open([
        .required("user", .named(.user)), .required("connections", .array(.named(.connection))),
        .optional("info", .any), .optional("state", .any),
      ])
    case .node: Self.nodeSchema
    case .message, .operation, .event: wireSchema
    case .data:
      .object(ObjectSchema(members: [], others: .allowedExcept(Self.reservedNames), choices: []))
    case .idempotencyKey: .string(min: 1, max: AdminEndpoint.idempotencyKeyBytesMax, pattern: "^[!-~]([ -~]*[!-~])?$")
    case .published, .publishedRooms, .sent, .delivered: answerSchema
    case .publish, .broadcast, .direct: bodySchema
    }
  }

  /// The members of `data` that receivers would not get.
  private static let reservedNames = ["type", "room", "user", "offset", "ts", "id", "echo", "ephemeral"]

  private static let errorSchema = Schema.open([
    .required(
      "error",
      .open([
        .required("code", .choice(ErrorCode.allCases.map(\.rawValue))),
        .required("message", .described(.string(), "What was wrong, and what to do.")),
      ]))
  ])

  static let connectionMembers: [ObjectSchema.Member] = [
    .required("id", .string(min: 1)), .required("node", .string(min: 1)),
    .required("transport", .choice(Transport.allCases.map { "\($0.name)" })), .required("address", .string()),
    .required("since", .described(.integer(min: 0, max: nil), "Milliseconds since 1970.")),
  ]

  private static let connectionSchema = Schema.open(connectionMembers)

  private static let nodeSchema = Schema.open([
    .required("id", .string(min: 1)),
    .optional("time", .described(.integer(min: 0, max: nil), "When it was written, milliseconds since 1970.")),
    .optional("version", .string()),
    .optional("uptime", .described(.integer(min: 0, max: nil), "Seconds.")),
    .optional("connections", .integer(min: 0, max: nil)), .optional("rooms", .integer(min: 0, max: nil)),
    .optional("messagesIn", .integer(min: 0, max: nil)), .optional("messagesOut", .integer(min: 0, max: nil)),
    .optional("memory", .described(.integer(min: 0, max: nil), "Resident bytes.")),
    .optional("auth", .string()),
    .optional("state", .choice(["starting", "ready", "draining", "waiting for Redis"])),
    .optional("processor", .described(.integer(min: 0, max: nil), "Percent of one processor, over 5 seconds.")),
    .optional("redisAge", .described(.integer(min: 0, max: nil), "Milliseconds since anything came from Redis.")),
    .optional("webhook", .any),
  ])

  /// What clients send and receive: the protocol's own page has it whole.
  private var wireSchema: Schema {
    switch self {
    case .message:
      .open([
        .required("type", .string()), .required("room", .named(.room)),
        .required("user", .anyOf([.named(.user), .null])), .optional("offset", .integer(min: 0, max: nil)),
        .required("ts", .integer(min: 0, max: nil)),
      ])
    case .operation:
      .open([
        .required("type", .choice(ClientOperation.Kind.allCases.map(\.rawValue))),
        .optional("id", .string(min: 1, max: ClientOperation.idBytesMax)),
      ])
    default: .open([.required("type", .string())])
    }
  }

  private var answerSchema: Schema {
    switch self {
    case .published:
      .open([
        .required("room", .named(.room)), .required("epoch", .named(.epoch)),
        .required("offset", .integer(min: 0, max: nil)),
      ])
    case .publishedRooms:
      .open([
        .required(
          "results",
          .array(
            .anyOf([
              .named(.published), .open([.required("room", .string()), .required("error", Self.errorObject)]),
            ]), min: 1, max: AdminEndpoint.publishRoomsMax))
      ])
    case .sent: .open([.required("ok", .bool)])
    default: .open([.required("delivered", .described(.integer(min: 0, max: nil), "Connections of the user."))])
    }
  }

  private static let errorObject: Schema = .open([
    .required("code", .choice(ErrorCode.allCases.map(\.rawValue))), .required("message", .string()),
  ])

  private var bodySchema: Schema {
    let user = ObjectSchema.Member.optional(
      "user", .described(.anyOf([.named(.user), .null]), "In whose name; null or absent: in nobody's."))
    let data = ObjectSchema.Member.required(
      "data", .described(.named(.data), "Its members become the message's, byte for byte."))
    let trace = ObjectSchema.Member.optional(
      "traceparent", .described(.any, "The trace that it is part of, as the header; what is none is ignored."))
    switch self {
    case .publish:
      return .closed(
        [
          .optional("room", .named(.room)),
          .optional(
            "rooms",
            .described(
              .array(.string(), min: 1, max: AdminEndpoint.publishRoomsMax), "Rooms that each get the message.")),
          user, data, trace,
        ], exactlyOneOf: ["room", "rooms"])
    case .broadcast: return .closed([user, data, trace])
    default: return .closed([.required("to", .named(.user)), user, data, trace])
    }
  }
}
