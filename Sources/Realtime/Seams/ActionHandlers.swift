import ClientProtocol
import JSONCore

/// What a client asks of an action.
public struct ActionRequest {
  public let action: [UInt8]
  /// One JSON value, or nil.
  public let payload: [UInt8]?
  /// The user who asks.
  public let user: [UInt8]
  /// The user's `info`, one JSON value, or nil.
  public let info: [UInt8]?
  /// The name of the connection that asks, or nil where the request came without one.
  public let connection: [UInt8]?
  /// Who is held to a share of what answers it; nil: nobody can be told.
  public let owner: ClientOwner?
  /// The trace that it is part of; nil: none.
  public let trace: TraceContext?
  /// The rooms that the connection has joined, as JSON strings.
  let roomsJSON: [[UInt8]]
}

/// What an action answers.
public enum ActionOutcome: EventBody {
  /// The payload is one JSON value.
  case success(payload: [UInt8])
  case failure(ErrorCode, String)
  /// What somebody else says is wrong: one JSON value, for the client as it is.
  case refused(error: [UInt8])

  public func write(to writer: inout JSONWriter) {
    writer.key("ok")
    switch self {
    case .success(let payload):
      writer.bool(true)
      writer.key("payload")
      writer.raw(payload)
    case .failure(let code, let message):
      writer.bool(false)
      writer.error(code, message)
    case .refused(let error):
      writer.bool(false)
      writer.key("error")
      writer.raw(error)
    }
  }
}

/// The actions that clients may request, by name.
public struct ActionHandlers {
  /// Answers once, at once or later, on the loop's thread.
  public typealias Handler = (_ request: ActionRequest, _ reply: @escaping (ActionOutcome) -> Void) -> Void

  private var handlers: [[UInt8]: Handler] = [:]
  /// The names of those that every node has.
  private var builtIn: Set<[UInt8]> = []
  /// Answers actions that nobody has registered; nil: they are `not_found`.
  public var otherwise: Handler?

  /// Registers an action; one of the same name is replaced.
  public mutating func register(_ action: String, _ handler: @escaping Handler) {
    builtIn.remove(Array(action.utf8))
    handlers[Array(action.utf8)] = handler
  }

  /// Registers an action that every node has.
  public mutating func register(builtIn action: String, _ handler: @escaping Handler) {
    handlers[Array(action.utf8)] = handler
    builtIn.insert(Array(action.utf8))
  }

  /// Whether the program that embeds the node has registered any action.
  public var hasOfProgram: Bool { handlers.count > builtIn.count }

  /// Whether the program that embeds the node has registered an action of that name.
  public func isOfProgram(_ action: [UInt8]) -> Bool { handlers[action] != nil && !builtIn.contains(action) }

  func handle(_ request: ActionRequest, _ reply: @escaping (ActionOutcome) -> Void) {
    if let handler = handlers[request.action] ?? otherwise { return handler(request, reply) }
    let names = handlers.keys.map { String(decoding: $0, as: UTF8.self) }.sorted().joined(separator: ", ")
    reply(.failure(.notFound, "no such action; there are \(names)"))
  }
}
