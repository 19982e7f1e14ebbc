import ClientProtocol
import JSONCore

/// The answer to an operation.
struct Reply: Sendable {
  let message: ServerMessage
  let text: [UInt8]
}

extension Operation {
  /// Writes an operation.
  ///
  /// - Parameter write: writes the members beside `type`, `id` and `room`.
  init(_ type: ClientOperation.Kind, id: String, room: String?, _ write: (inout JSONWriter) -> Void) {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("type")
    writer.string(type.rawValue)
    writer.key("id")
    writer.string(id)
    if let room {
      writer.key("room")
      writer.string(room)
    }
    write(&writer)
    writer.endObject()
    self.init(id: id, type: type, room: room, text: writer.finish())
  }
}

extension JSONWriter {
  /// Writes a place in a room.
  mutating func since(_ epoch: String, _ offset: UInt64) {
    key("since")
    beginObject()
    key("epoch")
    string(epoch)
    key("offset")
    unsigned(offset)
    endObject()
  }

  /// Writes a state, or that there is none.
  mutating func state(_ state: JSON?) {
    key("state")
    if let state { raw(state.bytes) } else { null() }
  }
}

extension JSON {
  /// The members of a JSON object that may be published, without its braces.
  func publishedMembers() throws(ClientError) -> [UInt8] {
    guard JSONScanner.isValidUTF8(bytes.span) else { throw ClientError(.badRequest, "data must be UTF-8") }
    do throws(ProtocolError) {
      var members: [UInt8] = []
      try MessageData(bytes.span).members.appendMembers(of: bytes.span, to: &members)
      return members
    } catch {
      throw ClientError(error)
    }
  }

  /// Throws for what is not one JSON value.
  func check() throws(ClientError) {
    guard JSONScanner.isValidUTF8(bytes.span), (try? JSONScanner.validate(bytes.span)) != nil else {
      throw ClientError(.badRequest, "this is no JSON value: \(text.prefix(100))")
    }
  }
}

/// An operation that was not answered yet.
struct Call: Sendable {
  typealias Settle = @Sendable (isolated Roost, Result<Reply, ClientError>) -> Void

  let operation: Operation
  /// Its place in the order of calls.
  let number: UInt64
  /// Whether sending it twice does no harm.
  let resends: Bool
  let settle: Settle
  var isSent = false
  var firstSentAt: ContinuousClock.Instant?

  /// Whether it waits while its room is being joined.
  var needsJoin: Bool { [.message, .presence, .state].contains(operation.type) }
}

/// All operations that were not answered yet, bounded. Pure.
struct CallTable {
  private var calls: [String: Call] = [:]
  /// Those to send, in order.
  private var unsent: [String] = []
  private var bytes = 0
  private var lastNumber: UInt64 = 0
  // Random, since two clients of one user share the server's memory of ids.
  private let prefix = String(UInt64.random(in: .min ... .max), radix: 36) + "-"

  /// Calls that wait.
  var count: Int { calls.count }

  /// A fresh id, and its number.
  mutating func nextID() -> (id: String, number: UInt64) {
    lastNumber += 1
    return ("\(prefix)\(lastNumber)", lastNumber)
  }

  /// Adds a call, to be sent after the others; false: there is no room.
  mutating func add(_ call: Call, countMax: Int, bytesMax: Int) -> Bool {
    let size = call.operation.text.count
    guard calls.count < countMax, calls.isEmpty || bytes + size <= bytesMax else { return false }
    calls[call.operation.id] = call
    unsent.append(call.operation.id)
    bytes += size
    return true
  }

  /// Takes a call out, whose answer has come.
  mutating func take(_ id: String) -> Call? {
    guard let call = calls.removeValue(forKey: id) else { return nil }
    bytes -= call.operation.text.count
    return call
  }

  /// Takes out all.
  mutating func takeAll() -> [Call] {
    defer { (calls, unsent, bytes) = ([:], [], 0) }
    return calls.values.sorted { $0.number < $1.number }
  }

  /// Notes that the connection is lost: what may be sent again is to be sent again. Takes out the others that were sent.
  mutating func connectionLost() -> [Call] {
    let lost = calls.values.filter { $0.isSent && !$0.resends }.sorted { $0.number < $1.number }
    for call in lost { _ = take(call.operation.id) }
    for id in calls.keys { calls[id]?.isSent = false }
    unsent = calls.values.sorted { $0.number < $1.number }.map(\.operation.id)
    return lost
  }

  /// Marks those as sent that may be, and returns them in order; and takes out those that were sent too long ago for the
  /// server to know them.
  mutating func takeUnsent(
    at now: ContinuousClock.Instant, waits: (Call) -> Bool
  ) -> (send: [Operation], expired: [Call]) {
    var (send, expired, kept): ([Operation], [Call], [String]) = ([], [], [])
    for id in unsent {
      guard var call = calls[id] else { continue }
      if waits(call) {
        kept.append(id)
      } else if let first = call.firstSentAt, now - first > .seconds(ClientLimits.resendSeconds) {
        expired.append(call)
        _ = take(id)
      } else {
        call.isSent = true
        call.firstSentAt = call.firstSentAt ?? now
        calls[id] = call
        send.append(call.operation)
      }
    }
    unsent = kept
    return (send, expired)
  }

  /// Whether an operation of a type waits for its answer in a room.
  func contains(_ type: ClientOperation.Kind, in room: String) -> Bool {
    calls.values.contains { $0.operation.type == type && $0.operation.room == room }
  }
}
