import ClientProtocol
import JSONCore
import Realtime
import Server
import Settings
import TimeCore

// What the node's modules call things, and what a program does.

/// What a handler of a request came to.
enum RequestAnswer: Sendable {
  case payload(JSON)
  case refused(RequestError)

  /// Calls a handler and checks its payload, not on the node's thread. Throws what it throws beside a ``RequestError``.
  init(_ request: ClientRequest, _ handler: RoostNode.RequestHandler) async throws {
    do {
      let payload = try await handler(request)
      guard JSON.isValid(payload.bytes) else { throw NodeError(.refused, "the payload is no JSON") }
      self = .payload(payload)
    } catch let error as RequestError {
      self = .refused(error)
    }
  }
}

extension JSON {
  /// Whether bytes are one JSON value in UTF-8.
  static func isValid(_ bytes: [UInt8]) -> Bool {
    guard JSONScanner.isValidUTF8(bytes.span) else { return false }
    return (try? JSONScanner.validate(bytes.span)) != nil
  }
}

extension RequestError.Code {
  var wire: ErrorCode {
    switch self {
    case .badRequest: .badRequest
    case .forbidden: .forbidden
    case .notFound: .notFound
    case .rateLimited: .rateLimited
    case .unavailable: .unavailable
    }
  }
}

extension Client {
  init(_ principal: Principal) {
    self.init(
      user: text(principal.user), info: principal.info.map { JSON($0) }, connection: principal.connection.map(text))
  }
}

extension Attempt {
  init(_ action: ClientAction) {
    switch action {
    case .read(let room): self = .read(room: text(room))
    case .publish(let room): self = .publish(room: text(room))
    case .direct(let user): self = .direct(to: text(user))
    case .broadcast: self = .broadcast
    }
  }
}

extension ConnectAttempt {
  init(_ question: ConnectQuestion) {
    self.init(
      connection: question.connection.map(text), transport: question.transport.map { "\($0.name)" },
      address: text(question.address), user: question.identity.map { text($0.user) },
      info: question.identity?.info.map { JSON($0) }, token: question.token.map(text),
      headers: Dictionary(question.headers.map { (text($0.name), text($0.value)) }) { first, _ in first })
  }
}

extension ConnectDecision {
  /// Nil for a user whom no one can be, and for `info` that is no JSON.
  init?(_ answer: ConnectAnswer) {
    switch answer {
    case .refuse(let reason): self = .refused(reason: reason)
    case .allow(let said):
      var grant = ConnectGrant()
      if let user = said.user {
        grant.user = Array(user.utf8)
        guard RoomName.isValid(Array(user.utf8).span) else { return nil }
      }
      if let info = said.info {
        guard JSON.isValid(info.bytes) else { return nil }
        grant.info = info.bytes
      }
      grant.rooms = said.rooms.map { RoomGrants($0.map { Array($0.utf8) }) }
      if said.mayBroadcast != nil || said.mayDirect != nil {
        grant.permissions = ConnectGrant.Permissions(
          mayBroadcast: said.mayBroadcast ?? false, mayDirect: said.mayDirect ?? false)
      }
      grant.expiresAt = said.expiresAt
      self = .allowed(grant)
    }
  }
}

extension ClientMessage {
  /// Nil for a question about something else.
  init?(_ question: Question) {
    let client = Client(question.client)
    switch question.subject {
    case .message(let room, let members, let isEphemeral):
      self.init(room: text(room), client: client, body: .json(JSON(members)), isEphemeral: isEphemeral)
    case .binary(let room, let payload):
      self.init(room: text(room), client: client, body: .binary(payload), isEphemeral: false)
    case .join: return nil
    }
  }
}

extension Interval {
  /// A duration, at least a millisecond and at most a day.
  init(_ duration: Duration) {
    let parts = duration.components
    let seconds = min(max(parts.seconds, 0), 86_400)
    let milliseconds = seconds * 1000 + (parts.seconds < 0 ? 0 : parts.attoseconds / 1_000_000_000_000_000)
    self = .milliseconds(max(1, Int(milliseconds)))
  }
}

/// Gives a log to a closure in a task of its own, or to nobody.
final class FeedLog: LogHandler {
  private let level: LogLevel
  private let feed: EventFeed<RoostNode.LogLine>?

  init(_ level: LogLevel, _ take: (@Sendable (RoostNode.LogLine) -> Void)?) {
    self.level = level
    feed = take.map { take in
      EventFeed(countMax: EmbeddingLimits.logLinesWaitingMax, bytesMax: .max) { line, _ in take(line) }
    }
  }

  var droppedCount: UInt64 { feed?.droppedCount ?? 0 }

  func takes(_ level: LogLevel) -> Bool { feed != nil && LineLog.rank(level) >= LineLog.rank(self.level) }

  func write(_ entry: LogEntry) {
    feed?.offer(
      RoostNode.LogLine(
        level: entry.level.rawValue, node: entry.node, message: entry.message,
        fields: Dictionary(entry.fields.map { ("\($0.0)", $0.1.logText) }) { first, _ in first }),
      bytes: 0)
  }

  func finish() { feed?.finish() }
}
