import ClientProtocol

/// One method of one path of the HTTP API, described: who may ask, with what, and what the answers are.
///
/// What dispatches requests and what writes the OpenAPI document read the same values.
struct APIRoute: Sendable {
  enum Verb: String, Sendable { case get, post, delete }

  /// Who may ask.
  enum Access: Sendable {
    /// With the admin token only.
    case admin
    /// With the admin token or the API key.
    case backend
    /// A user: with a token, or with a name where the node asks for no tokens.
    case client
    /// The sender of a hook, whose signature is checked.
    case signature
    case everyone
  }

  /// A parameter of the query, or a header.
  struct Parameter: Sendable {
    let name: String
    let schema: Schema
    /// What it means, in a sentence.
    let meaning: String
    var isRequired = false
    /// Whether it may stand more than once.
    var repeats = false

    /// The trace that what is published becomes part of.
    static let traceParent = Parameter(
      name: "traceparent", schema: .string(),
      meaning: "The trace that it is part of (W3C Trace Context); what is none is ignored.")
  }

  /// What a request carries.
  struct Body: Sendable {
    /// One media type after the other, with what each holds.
    let contents: [(type: String, schema: Schema)]
    var isRequired = true

    static func json(_ schema: Schema, isRequired: Bool = true) -> Body {
      Body(contents: [("application/json", schema)], isRequired: isRequired)
    }
  }

  /// One answer.
  struct Answer: Sendable {
    let status: Int
    let meaning: String
    /// Media types with what each holds; none: no body.
    let contents: [(type: String, schema: Schema)]

    static func json(_ status: Int = 200, _ meaning: String, _ schema: Schema) -> Answer {
      Answer(status: status, meaning: meaning, contents: [("application/json", schema)])
    }

    static func text(_ status: Int, _ meaning: String) -> Answer {
      Answer(status: status, meaning: meaning, contents: [("text/plain; charset=utf-8", .string())])
    }
  }

  let verb: Verb
  /// Such as `/admin/presence/{room}`.
  let path: String
  /// The name of the operation, unique in the document.
  let name: String
  let summary: String
  let access: Access
  /// What the part of the path in braces is.
  var pathSchema: Schema = .string(min: 1)
  var query: [Parameter] = []
  var headers: [Parameter] = []
  var body: Body?
  let answers: [Answer]
  /// The codes of its errors besides those that all of its kind have.
  var errors: [ErrorCode] = []

  /// The name that stands in braces at the end of the path; nil: there is none.
  var pathParameter: String? {
    guard path.hasSuffix("}"), let brace = path.lastIndex(of: "{") else { return nil }
    return String(path[path.index(after: brace)...].dropLast())
  }

  /// The statuses of its errors, ascending, each with its codes.
  var errorStatuses: [(status: Int, codes: [ErrorCode])] {
    var codes = errors + [.badRequest]
    switch access {
    case .backend: codes += [.unauthenticated, .rateLimited, .unavailable, .internal]
    // With the api-key a path of operators is forbidden.
    case .admin, .client: codes += [.unauthenticated, .forbidden, .rateLimited, .unavailable, .internal]
    case .signature: codes += [.unauthenticated, .unavailable, .internal]
    case .everyone: break
    }
    if body != nil { codes.append(.tooLarge) }
    var statuses: [Int: [ErrorCode]] = [:]
    for code in ErrorCode.allCases where codes.contains(code) { statuses[code.httpStatus, default: []].append(code) }
    return statuses.sorted { $0.key < $1.key }.map { (status: $0.key, codes: $0.value) }
  }
}
