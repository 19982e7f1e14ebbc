import ClientProtocol
import JSONCore

/// A link over Server-Sent Events: events come down one answer that does not end, operations go by requests.
final class EventStreamLink: Link {
  let answersPings = false
  private let wire: any WireConnection
  private let sender: OperationSender

  init(_ transport: any ClientTransport, _ identity: Identity, _ source: @escaping Identity.Source) {
    var request = WireRequest("sse")
    identity.apply(to: &request)
    wire = transport.http(request)
    sender = OperationSender(transport, source)
  }

  func run(_ give: @escaping @Sendable (LinkEvent) async -> Void) async -> WireEnd {
    var reader = EventStreamReader()
    var sending: Task<Void, Never>?
    defer { sending?.cancel() }
    for await event in wire.events {
      switch event {
      case .status(200): await give(.alive)
      case .status(let status):
        wire.close()
        return .refused(status: status)
      case .body(let bytes):
        let events = reader.take(bytes)
        let texts = events.filter { $0.name != "close" }.map(\.data)
        if sending == nil, let connection = HTTPLinks.connection(in: texts) {
          sending = Task { [sender] in await sender.run(connection: connection, give) }
        }
        await give(texts.isEmpty ? .alive : .texts(await sender.label(texts)))
        wire.consumed(bytes.count)
        if let close = events.first(where: { $0.name == "close" }) { return HTTPLinks.end(close.data) }
      case .ended(.done): return .broken("the server ended the event stream")
      case .ended(let end): return end
      case .opened, .texts, .binaries: break
      }
    }
    return .broken("closed")
  }

  func send(_ operation: Operation) { sender.send(operation) }

  func close() {
    sender.finish()
    wire.close()
  }
}

/// A link over polls: each answer brings what came since the one before.
final class PollLink: Link {
  let answersPings = false
  private let transport: any ClientTransport
  private let identity: Identity.Source
  private let sender: OperationSender
  /// Ends the poll that waits.
  private let closing: AsyncStream<Void>.Continuation
  private let closed: AsyncStream<Void>

  init(_ transport: any ClientTransport, _ identity: @escaping Identity.Source) {
    (self.transport, self.identity) = (transport, identity)
    sender = OperationSender(transport, identity)
    (closed, closing) = AsyncStream.makeStream(of: Void.self)
  }

  func run(_ give: @escaping @Sendable (LinkEvent) async -> Void) async -> WireEnd {
    await withTaskGroup(of: WireEnd.self) { group in
      group.addTask { await self.poll(give) }
      group.addTask { [closed] in
        for await _ in closed {}
        return .broken("closed")
      }
      let end = await group.next() ?? .broken("closed")
      group.cancelAll()
      return end
    }
  }

  private func poll(_ give: @escaping @Sendable (LinkEvent) async -> Void) async -> WireEnd {
    var (connection, sequence): (String?, Int) = (nil, 0)
    var sending: Task<Void, Never>?
    defer { sending?.cancel() }
    var failures = 0
    while !Task.isCancelled {
      var request = WireRequest("poll")
      request.query = connection.map { [("connection", $0), ("seq", "\(sequence)")] } ?? [("connection", "new")]
      await identity().apply(to: &request)
      let answer = await Answer(transport.http(request))
      if Task.isCancelled { break }
      guard answer.isWhole, let status = answer.status else {
        // What was not confirmed is asked for again.
        failures += 1
        guard connection != nil, failures < 3 else { return answer.end }
        continue
      }
      guard status == 200, let page = try? JSONValue.parse(answer.body.span), let next = page["seq"]?.asInt,
        let messages = page["messages"]?.asArray
      else {
        if status == 503, connection != nil, failures < 3 {
          failures += 1
          continue
        }
        // 404: the connection has ended.
        return status == 404 && connection != nil ? .broken("the poll connection has ended") : .refused(status: status)
      }
      failures = 0
      sequence = next
      if connection == nil, let name = page["connection"]?.asString {
        connection = name
        sending = Task { [sender] in await sender.run(connection: name, give) }
      }
      let texts = messages.map { $0.json.bytes }
      await give(texts.isEmpty ? .alive : .texts(await sender.label(texts)))
    }
    if let connection { end(connection) }
    return .broken("closed")
  }

  /// Ends the connection at the server, which would wait for the next poll otherwise.
  private func end(_ connection: String) {
    Task { [transport, identity] in
      var request = WireRequest("poll")
      request.method = "DELETE"
      request.query = [("connection", connection)]
      await identity().apply(to: &request)
      _ = await Answer(transport.http(request))
    }
  }

  func send(_ operation: Operation) { sender.send(operation) }

  func close() {
    sender.finish()
    closing.finish()
  }
}

private enum HTTPLinks {
  /// The name of the connection, of its welcome.
  static func connection(in texts: [[UInt8]]) -> String? {
    for text in texts {
      guard let message = try? ServerMessage(parsing: text.span), message.isType("welcome") else { continue }
      return message.connection.map(string)
    }
    return nil
  }

  /// What the event `close` says: `{"code":…,"reason":…}`.
  static func end(_ data: [UInt8]) -> WireEnd {
    let said = try? JSONValue.parse(data.span)
    let code = said?["code"]?.asInt.flatMap { UInt16(exactly: $0) }
    return .closed(code: code ?? 1006, reason: said?["reason"]?.asString ?? "")
  }
}

/// Reads an event stream, however it is cut (HTML standard, section 9.2.6). Pure.
struct EventStreamReader {
  /// One event.
  struct Event: Equatable {
    /// Empty: none was given.
    var name = ""
    var data: [UInt8] = []
  }

  private var line: [UInt8] = []
  private var event = Event()
  private var hasData = false
  private var endsWithCR = false

  /// Takes bytes. Returns the events that they complete.
  mutating func take(_ bytes: [UInt8]) -> [Event] {
    var events: [Event] = []
    for byte in bytes {
      defer { endsWithCR = byte == 0x0D }
      if byte == 0x0A, endsWithCR { continue }
      guard byte == 0x0A || byte == 0x0D else {
        line.append(byte)
        continue
      }
      if line.isEmpty {
        if hasData { events.append(event) }
        (event, hasData) = (Event(), false)
      } else {
        takeLine()
        line.removeAll(keepingCapacity: true)
      }
    }
    return events
  }

  private mutating func takeLine() {
    // A line that begins with a colon is a comment.
    let colon = line.firstIndex(of: UInt8(ascii: ":")) ?? line.endIndex
    var value = line[min(colon + 1, line.endIndex)...]
    if value.first == UInt8(ascii: " ") { value = value.dropFirst() }
    switch string(Array(line[..<colon])) {
    case "event": event.name = string(Array(value))
    case "data":
      if hasData { event.data.append(0x0A) }
      hasData = true
      event.data += value
    default: break
    }
  }
}
