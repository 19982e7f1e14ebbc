import ClientProtocol
import JSONCore

/// The OpenAPI 3.1 document of the HTTP API, made from the routes themselves.
enum OpenAPIDocument {
  /// Made when it is asked for the first time.
  static let json = make(AdminRoute.described.map(\.api) + ClientRoutes.all)

  private static let about = """
    Roost: rooms, presence and history over WebSockets and HTTP. Every answer under /admin is JSON; an error is \
    {"error":{"code":…,"message":…}} with the matching status. Unknown or repeated members and query parameters are refused.
    """

  static func make(_ routes: [APIRoute]) -> [UInt8] {
    var writer = JSONWriter(capacity: 64 * 1024)
    writer.beginObject()
    writer.member("openapi", "3.1.0")
    writer.key("info")
    writer.beginObject()
    writer.member("title", "Roost")
    writer.member("version", Node.version)
    writer.member("description", about)
    writer.endObject()
    writer.key("servers")
    writer.beginArray()
    writer.beginObject()
    writer.member("url", "/")
    writer.endObject()
    writer.endArray()
    writer.key("paths")
    writePaths(routes, to: &writer)
    writer.key("components")
    writer.beginObject()
    writer.key("schemas")
    writer.beginObject()
    for name in SchemaName.allCases {
      writer.key(named: name.rawValue)
      name.schema.write(to: &writer)
    }
    writer.endObject()
    writer.key("securitySchemes")
    writeSecuritySchemes(to: &writer)
    writer.endObject()
    writer.endObject()
    return writer.finish()
  }

  private static func writePaths(_ routes: [APIRoute], to writer: inout JSONWriter) {
    var paths: [String] = []
    for route in routes where !paths.contains(route.path) { paths.append(route.path) }
    writer.beginObject()
    for path in paths {
      writer.key(named: path)
      writer.beginObject()
      for route in routes where route.path == path {
        writer.key(named: route.verb.rawValue)
        write(route, to: &writer)
      }
      writer.endObject()
    }
    writer.endObject()
  }

  private static func write(_ route: APIRoute, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("operationId", route.name)
    writer.member("summary", route.summary)
    writer.key("security")
    writeSecurity(of: route.access, to: &writer)
    writeParameters(of: route, to: &writer)
    if let body = route.body {
      writer.key("requestBody")
      writer.beginObject()
      writer.key("required")
      writer.bool(body.isRequired)
      writer.key("content")
      writer.beginObject()
      for content in body.contents { write(content, to: &writer) }
      writer.endObject()
      writer.endObject()
    }
    writer.key("responses")
    writeAnswers(of: route, to: &writer)
    writer.endObject()
  }

  private static func writeParameters(of route: APIRoute, to writer: inout JSONWriter) {
    guard route.pathParameter != nil || !route.query.isEmpty || !route.headers.isEmpty else { return }
    writer.key("parameters")
    writer.beginArray()
    if let name = route.pathParameter {
      let parameter = APIRoute.Parameter(
        name: name, schema: route.pathSchema, meaning: "Percent-encoded.", isRequired: true)
      write(parameter, in: "path", to: &writer)
    }
    for parameter in route.query { write(parameter, in: "query", to: &writer) }
    for parameter in route.headers { write(parameter, in: "header", to: &writer) }
    writer.endArray()
  }

  private static func write(_ parameter: APIRoute.Parameter, in place: String, to writer: inout JSONWriter) {
    writer.beginObject()
    writer.member("name", parameter.name)
    writer.member("in", place)
    writer.key("required")
    writer.bool(parameter.isRequired)
    writer.member("description", parameter.meaning)
    writer.key("schema")
    let schema: Schema = parameter.repeats ? .array(parameter.schema, min: 1) : parameter.schema
    schema.write(to: &writer)
    writer.endObject()
  }

  private static func writeAnswers(of route: APIRoute, to writer: inout JSONWriter) {
    writer.beginObject()
    for answer in route.answers {
      writer.key(named: String(answer.status))
      writer.beginObject()
      writer.member("description", answer.meaning)
      if !answer.contents.isEmpty {
        writer.key("content")
        writer.beginObject()
        for content in answer.contents { write(content, to: &writer) }
        writer.endObject()
      }
      writer.endObject()
    }
    let documented = route.answers.map(\.status)
    for (status, codes) in route.errorStatuses where !documented.contains(status) {
      writer.key(named: String(status))
      writer.beginObject()
      writer.member("description", codes.map(\.rawValue).joined(separator: ", "))
      writer.key("content")
      writer.beginObject()
      write(("application/json", .named(route.access == .client ? .refusal : .error)), to: &writer)
      writer.endObject()
      writer.endObject()
    }
    writer.endObject()
  }

  private static func write(_ content: (type: String, schema: Schema), to writer: inout JSONWriter) {
    writer.key(named: content.type)
    writer.beginObject()
    writer.key("schema")
    content.schema.write(to: &writer)
    writer.endObject()
  }

  // MARK: Who may ask

  private static func writeSecurity(of access: APIRoute.Access, to writer: inout JSONWriter) {
    let choices: [String?] =
      switch access {
      case .admin: ["adminToken"]
      case .backend: ["adminToken", "apiKey"]
      // Without `auth` no token is asked for.
      case .client: [nil, "userToken", "userTokenInQuery", "userTokenInCookie"]
      // The signature's form depends on the hook's scheme, which no security scheme of OpenAPI describes.
      case .signature, .everyone: []
      }
    writer.beginArray()
    for choice in choices {
      writer.beginObject()
      if let choice {
        writer.key(named: choice)
        writer.strings([])
      }
      writer.endObject()
    }
    writer.endArray()
  }

  private static func writeSecuritySchemes(to writer: inout JSONWriter) {
    writer.beginObject()
    for (name, meaning) in [
      ("adminToken", "The setting admin-token."), ("apiKey", "The setting api-key."),
      ("userToken", "A user's token, where the node asks for tokens."),
    ] {
      writer.key(named: name)
      writer.beginObject()
      writer.member("type", "http")
      writer.member("scheme", "bearer")
      writer.member("description", meaning)
      writer.endObject()
    }
    for (name, place, parameter) in [
      ("userTokenInQuery", "query", "token"), ("userTokenInCookie", "cookie", "roost_token"),
    ] {
      writer.key(named: name)
      writer.beginObject()
      writer.member("type", "apiKey")
      writer.member("in", place)
      writer.member("name", parameter)
      writer.endObject()
    }
    writer.endObject()
  }
}
