import ClientProtocol
import JSONCore

/// The answers to operations that do not go down the connection as events: of those that a request has brought for a session
/// (`POST /send?connection=C`), and of those that a connection acknowledges in a form of its own.
///
/// Such an operation carries a tag in the place of its `id`, wherever an operation's `id` is passed on until its answer. A tag
/// begins with a byte that no JSON string begins with. Confined to the loop that created its hub.
final class RequestAnswers {
  /// Takes one answer: one JSON object, and the code when it is an error.
  typealias Reply = (_ text: [UInt8], ErrorCode?) -> Void

  private struct Entry {
    let session: SlabID
    /// The operation's `id`, with its quotes, or nil.
    let id: [UInt8]?
    let reply: Reply
  }

  /// Where an operation came from, as the first byte of its tag.
  enum Origin: UInt8 {
    case request
    /// The session's own connection.
    case connection
  }

  private var entries: [UInt64: Entry] = [:]
  /// The numbers of a session's operations that are not answered.
  private var numbers: [SlabID: Set<UInt64>] = [:]
  private var lastNumber: UInt64 = 0

  /// Operations that wait for their answer.
  var count: Int { entries.count }

  /// Whether the `id` of an operation is a tag.
  @inline(__always)
  static func isTag(_ answerID: [UInt8]?) -> Bool { origin(answerID) != nil }

  /// Where the operation that a tag stands for came from; nil: it is no tag.
  @inline(__always)
  static func origin(_ answerID: [UInt8]?) -> Origin? { answerID?.first.flatMap(Origin.init) }

  /// Makes a tag for an operation. `answer` must follow, or `end`.
  func tag(_ session: SlabID, id: [UInt8]?, from origin: Origin = .request, _ reply: @escaping Reply) -> [UInt8] {
    lastNumber += 1
    entries[lastNumber] = Entry(session: session, id: id, reply: reply)
    numbers[session, default: []].insert(lastNumber)
    var tag = [origin.rawValue]
    JSONNumber.append(lastNumber, to: &tag)
    return tag
  }

  /// Gives an event to the request that a tag stands for. Of several the first counts. Returns the bytes of its JSON.
  func answer(_ tag: [UInt8], _ event: ServerEvent) -> Int {
    guard let number = JSONNumber.unsigned(tag.span.extracting(1..<tag.count)), let entry = entries[number] else {
      return 0
    }
    entries[number] = nil
    numbers[entry.session]?.remove(number)
    if numbers[entry.session]?.isEmpty == true { numbers[entry.session] = nil }
    return RequestAnswers.send(event, id: entry.id, entry.reply)
  }

  /// Answers everything that a session which ends has not been answered.
  func end(_ session: SlabID) {
    guard !entries.isEmpty, let ended = numbers.removeValue(forKey: session) else { return }
    for number in ended {
      guard let entry = entries.removeValue(forKey: number) else { continue }
      _ = RequestAnswers.send(.error(.notFound, Refusal.connectionEnded), id: entry.id, entry.reply)
    }
  }

  @discardableResult
  static func send(_ event: ServerEvent, id: [UInt8]?, _ reply: Reply) -> Int {
    var text: [UInt8] = []
    event.appendJSON(id: id, to: &text)
    var code: ErrorCode?
    if case .error(let error, _) = event { code = error }
    reply(text, code)
    return text.count
  }
}
