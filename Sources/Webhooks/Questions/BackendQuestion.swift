import JSONCore
import LoopCore
import Realtime

/// Writes what a backend is asked: `{"id":…,"event":…,"ts":…,…}`.
public enum BackendQuestion {
  /// Bytes of a question's id, before it is written in hexadecimal: nobody guesses one, and no two are the same.
  private static let idBytes = 12

  /// The text of a question about an operation.
  ///
  /// - Parameter now: milliseconds since 1970.
  public static func text(_ question: Question, at now: UInt64) -> [UInt8] {
    switch question.subject {
    case .join(let room):
      return make("ask_join", question.client, at: now) { string("room", room, &$0) }
    case .message(let room, let members, let isEphemeral):
      return make("ask_message", question.client, at: now) { writer in
        string("room", room, &writer)
        writer.key("message")
        writer.raw(members)
        if isEphemeral {
          writer.key("ephemeral")
          writer.bool(true)
        }
      }
    case .binary(let room, let payload):
      return make("ask_message", question.client, at: now) { writer in
        string("room", room, &writer)
        writer.key("binary")
        writer.string(Base64.encode(payload.span))
      }
    }
  }

  /// The text of a question about a connection.
  public static func text(_ question: ConnectQuestion, at now: UInt64) -> [UInt8] {
    let client = question.identity.map { Principal(user: $0.user, info: $0.info, connection: question.connection) }
    return make("ask_connect", client, at: now) { writer in
      if client == nil, let connection = question.connection { string("connection", connection, &writer) }
      if let transport = question.transport {
        writer.key("transport")
        writer.string(transport.name)
      }
      string("address", question.address, &writer)
      if let token = question.token { string("token", token, &writer) }
      writer.key("headers")
      writer.beginObject()
      for header in question.headers {
        writer.key(bytes: header.name.span)
        writer.string(utf8(header.value))
      }
      writer.endObject()
    }
  }

  /// The text of a client's request.
  public static func text(_ request: ActionRequest, at now: UInt64) -> [UInt8] {
    let client = Principal(user: request.user, info: request.info, connection: request.connection)
    return make("request", client, at: now) { writer in
      string("action", request.action, &writer)
      writer.key("payload")
      if let payload = request.payload { writer.raw(payload) } else { writer.null() }
    }
  }

  private static func make(
    _ event: StaticString, _ client: Principal?, at now: UInt64, _ write: (inout JSONWriter) -> Void
  ) -> [UInt8] {
    var writer = JSONWriter(capacity: 256)
    writer.beginObject()
    writer.key("id")
    writer.string(Digest.hex(Digest.randomBytes(idBytes)))
    writer.key("event")
    writer.string(event)
    writer.key("ts")
    writer.unsigned(now)
    if let client {
      string("user", client.user, &writer)
      if let connection = client.connection { string("connection", connection, &writer) }
      if let info = client.info {
        writer.key("info")
        writer.raw(info)
      }
    }
    write(&writer)
    writer.endObject()
    return writer.finish()
  }

  private static func string(_ key: StaticString, _ value: [UInt8], _ writer: inout JSONWriter) {
    writer.key(key)
    writer.string(utf8(value))
  }

  /// What a header or a token holds need not be UTF-8, but JSON must be (RFC 8259 section 8.1).
  private static func utf8(_ bytes: [UInt8]) -> [UInt8] {
    JSONScanner.isValidUTF8(bytes.span) ? bytes : Array(String(decoding: bytes, as: UTF8.self).utf8)
  }
}
