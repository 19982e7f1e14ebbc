import ClientProtocol
import HTTPCore
import JSONCore
import Realtime

/// The operations of `POST /admin/batch`: JSON objects, one on each line, each answered by one line.
struct AdminBatch {
  /// Lines of one batch: more would not be answered before clients give up.
  static let linesMax = 10_000
  /// Messages of one batch: a line that publishes in several rooms counts as many.
  static let messagesMax = 10_000
  /// What a line holds, for the description.
  static let lineForm = """
    One JSON object on each line: the body of /admin/publish, /admin/broadcast or /admin/direct with "type":"publish", \
    "broadcast" or "direct", and an "id" if wanted, which is the line's Idempotency-Key and is repeated in its answer. \
    At most \(linesMax) lines and as many messages.
    """

  /// The lines, without those that hold nothing.
  let lines: [ArraySlice<UInt8>]

  /// Throws when there is no line, or there are too many.
  init(_ body: [UInt8]) throws(ProtocolError) {
    lines = NDJSON.lines(of: body)
    guard !lines.isEmpty else {
      throw ProtocolError(.badRequest, "the body must hold at least one line with a JSON object")
    }
    guard lines.count <= AdminBatch.linesMax else {
      throw ProtocolError(
        .tooLarge, "the body has \(lines.count) lines; a batch has at most \(AdminBatch.linesMax): send several")
    }
  }

  /// Writes the answer of a line.
  ///
  /// - Parameter id: the line's `id`; nil: it has none that could be read.
  static func answer(_ outcome: AdminOutcome, id: [UInt8]?) -> [UInt8] {
    var writer = JSONWriter(capacity: 96)
    writer.beginObject()
    if let id {
      writer.key("id")
      writer.string(id)
    }
    switch outcome {
    case .success(let members): writer.raw(members)
    case .failure(let error): writer.error(error.code, error.message)
    }
    writer.endObject()
    return writer.finish()
  }
}

extension AdminEndpoint {
  /// `POST /admin/batch`.
  func batch(_ request: Request) {
    attempt(request) { () throws(ProtocolError) in
      guard request.head.value(.idempotencyKey) == nil else {
        throw ProtocolError(.badRequest, "a batch takes no Idempotency-Key: give each line an id")
      }
      let lines = try AdminBatch(request.body).lines
      var answers = [[UInt8]](repeating: [], count: lines.count)
      var messagesLeft = AdminBatch.messagesMax
      let trace = request.head.trace
      PacedRun.start(
        count: lines.count, after: hub.after, byteCount: { lines[$0].count },
        step: { [self] index, finished in
          perform(Array(lines[index]), trace, &messagesLeft) {
            answers[index] = AdminBatch.answer($0, id: $1)
            finished()
          }
        },
        done: { [self] in
          let text = Array(answers.joined(separator: [UInt8(ascii: "\n")])) + [UInt8(ascii: "\n")]
          respondUncached(request, Response(status: 200, contentType: NDJSON.contentType, body: text))
        })
    }
  }

  /// Performs the operation of one line.
  ///
  /// - Parameters:
  ///   - trace: that of the request.
  ///   - done: called once with the outcome and the line's `id`.
  /// - Returns: whether the next line is to wait for the outcome, because this one is for several rooms: what both publish in
  ///   one room keeps its order.
  private func perform(
    _ line: [UInt8], _ trace: TraceContext?, _ messagesLeft: inout Int,
    _ done: @escaping (AdminOutcome, _ id: [UInt8]?) -> Void
  ) -> Bool {
    var id: [UInt8]?
    do throws(ProtocolError) {
      let body = try AdminBody(line)
      let key = try body.key("id", bytesMax: AdminEndpoint.idempotencyKeyBytesMax)
      id = key
      let type = try body.string("type")
      let section = String(decoding: type, as: UTF8.self)
      guard let route = AdminRoute.publishing.first(where: { $0.isLine(of: section) }),
        let schema = route.api.body?.contents.first?.schema
      else {
        throw ProtocolError(
          .unknownType, "type is \(PlainName.of(type)); expected \"publish\", \"broadcast\" or \"direct\"")
      }
      try body.check(schema, besides: ["type", "id"])
      messagesLeft -= body.has("rooms") ? try body.strings("rooms", countMax: AdminEndpoint.publishRoomsMax).count : 1
      guard messagesLeft >= 0 else {
        throw ProtocolError(
          .tooLarge, "this message is beyond the \(AdminBatch.messagesMax) of one batch: send it in another")
      }
      switch section {
      case "publish": publish(body, key: key, trace: trace) { done($0, key) }
      case "broadcast": broadcast(body, key: key, trace: trace) { done($0, key) }
      default: direct(body, key: key, trace: trace) { done($0, key) }
      }
      return body.has("rooms")
    } catch {
      done(.failure(error), id)
      return false
    }
  }
}
