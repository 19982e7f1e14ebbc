/// Reads an event stream (WHATWG HTML section 9.2.6) from a node on this machine.
package final class EventStreamClient {
  package struct Event: CustomStringConvertible {
    package var id: String?
    /// The event's name; `message` when it has none.
    package var name = "message"
    package var data = ""

    package var description: String { "\(id ?? "-") \(name) \(data)" }
    /// The event's JSON.
    package var json: Received { get throws { try Received(data) } }
  }

  package let status: Int
  package let head: String
  /// The last id that came: what a browser sends as Last-Event-ID.
  package private(set) var lastEventID: String?
  package private(set) var retryMilliseconds: Int?
  /// Comment lines that came.
  package private(set) var commentCount = 0
  package private(set) var hasEnded = false
  package let connection: TCPConnection
  private var text = ""
  private var events: [Event] = []
  private var unfinished = Event()

  /// Sends the request and reads the head of the answer.
  package init(
    port: UInt16, _ target: String, headers: [String] = [], receiveBytes: Int32? = nil
  ) throws {
    connection = try TCPConnection(port: port, receiveBytes: receiveBytes)
    try connection.send(
      "GET \(target) HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n"
        + headers.map { $0 + "\r\n" }.joined() + "\r\n")
    let deadline = Deadline(within: 10)
    var received = ""
    while !received.contains("\r\n\r\n") {
      guard case .bytes(let bytes) = connection.read(until: deadline) else {
        throw TestFailure("no answer to \(target): \(received)")
      }
      received += String(decoding: bytes, as: UTF8.self)
    }
    let parts = received.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    head = String(parts[0])
    status = Int(head.split(separator: " ")[1]) ?? 0
    text = String(parts[1])
    parse()
  }

  /// Takes the next event of a name; those before it are dropped.
  package func expect(_ name: String, within seconds: Double = 10) throws -> Event {
    let deadline = Deadline(within: seconds)
    while true {
      while !events.isEmpty {
        let event = events.removeFirst()
        if event.name == name { return event }
      }
      guard !hasEnded, read(until: deadline) else { throw TestFailure("no event \(name)") }
    }
  }

  /// Takes the next event; nil: none comes in time.
  package func next(within seconds: Double = 10) -> Event? {
    let deadline = Deadline(within: seconds)
    while events.isEmpty { guard !hasEnded, read(until: deadline) else { return nil } }
    return events.removeFirst()
  }

  /// Reads until the server ends the stream, and returns the events that had not been taken.
  package func readToEnd(within seconds: Double = 10) throws -> [Event] {
    let deadline = Deadline(within: seconds)
    while !hasEnded { guard read(until: deadline) else { throw TestFailure("the stream does not end") } }
    defer { events = [] }
    return events
  }

  /// Reads for some time at most, until `isDone`.
  package func read(within seconds: Double, until isDone: () -> Bool) {
    let deadline = Deadline(within: seconds)
    while !isDone(), !hasEnded, read(until: deadline) {}
  }

  private func read(until deadline: Deadline) -> Bool {
    switch connection.read(until: deadline) {
    case .bytes(let bytes):
      text += String(decoding: bytes, as: UTF8.self)
      parse()
      return true
    case .end:
      hasEnded = true
      return true
    case .nothing: return false
    }
  }

  private func parse() {
    while let end = text.firstIndex(of: "\n") {
      let line = text[..<end]
      let field = line.prefix { $0 != ":" }
      let value = String(line.dropFirst(field.count + 1).trimmingPrefix(" "))
      text = String(text[text.index(after: end)...])
      switch field {
      case "" where line.isEmpty: finish()
      case "": commentCount += 1
      case "id": unfinished.id = value
      case "event": unfinished.name = value
      case "retry": retryMilliseconds = Int(value)
      case "data": unfinished.data += unfinished.data.isEmpty ? value : "\n" + value
      default: break
      }
    }
  }

  private func finish() {
    if let id = unfinished.id { lastEventID = id }
    if !unfinished.data.isEmpty { events.append(unfinished) }
    unfinished = Event()
  }
}

extension EventStreamClient {
  /// The types of what came of a room, in order, and the `n` of its messages.
  package func all(of room: String) -> [String] {
    events.compactMap { event in
      guard let text = try? Received(event.data), text.string("room") == room, let type = text.type else { return nil }
      return type + (text.int("n").map { " \($0)" } ?? "")
    }
  }
}
