import ClientProtocol
import JSONCore
import Realtime

/// The lines of one `POST /send` of `application/x-ndjson`: an operation each, done in order, answered in order, one line
/// each. A line that is refused harms no other. Confined to the loop that created it.
final class SendBatch {
  /// Lines of a batch that hold something. A thousand acknowledgements are some 100 KiB, and a thousand publishes a few
  /// milliseconds of this node.
  static let linesMax = 1000
  /// Bytes of a batch: what the shipped proxies let through.
  static let bytesMax = 1024 * 1024
  /// Bytes of answers after which lines that read are refused: four large ones. Others answer a few bytes each.
  static let answerBytesMax = 4 * 1024 * 1024

  /// Performs one operation and takes its answer, once.
  typealias Performer = (_ line: [UInt8], _ reply: @escaping (_ text: [UInt8]) -> Void) -> Void

  private let lines: [[UInt8]]
  private let messageBytesMax: Int
  /// Whether each line waits for the answer to the one before, whatever it asks.
  private let isInTurn: Bool
  private let performLine: Performer
  private let done: ([UInt8]) -> Void
  private var answers: [[UInt8]]
  private var next = 0
  private var awaited: Int
  private var answerBytes = 0
  private var isPerforming = false

  /// - Parameters:
  ///   - lines: those that hold something, at most `linesMax`.
  ///   - isInTurn: whether each line waits for the answer to the one before: the operations of a connection may go to
  ///     another node, of which only so much may be asked at once.
  ///   - done: takes all answers, a line each. Called once.
  init(
    _ lines: [[UInt8]], messageBytesMax: Int, isInTurn: Bool, perform: @escaping Performer,
    done: @escaping ([UInt8]) -> Void
  ) {
    self.lines = lines
    self.messageBytesMax = messageBytesMax
    self.isInTurn = isInTurn
    performLine = perform
    self.done = done
    answers = lines.map { _ in [] }
    awaited = lines.count
  }

  /// The lines of a body that hold something. Throws when there is none, or there are more than `linesMax`.
  static func lines(of body: [UInt8]) throws(ProtocolError) -> [[UInt8]] {
    let lines = NDJSON.lines(of: body)
    guard !lines.isEmpty else {
      throw ProtocolError(.badRequest, "the batch must hold at least one operation on a line")
    }
    guard lines.count <= linesMax else {
      throw ProtocolError(
        .tooLarge, "the batch has \(lines.count) lines; one has at most \(linesMax): send the others in another request"
      )
    }
    return lines.map { Array($0) }
  }

  /// Performs the lines from the next one on, each after the one before was handed over; what reads is answered before the
  /// next line is looked at, because its answer may be large and may depend on what follows, and so is everything where
  /// somebody decides on operations in its own time.
  func perform() {
    guard !lines.isEmpty else { return done([]) }
    guard !isPerforming else { return }
    isPerforming = true
    defer { isPerforming = false }
    while next < lines.count {
      let index = next
      next += 1
      let line = lines[index]
      let reads = SendBatch.reads(line)
      if let refusal = refusal(of: line, reads: reads) {
        take(ServerEvent.json(ofError: refusal), for: index)
        continue
      }
      let waits = reads || isInTurn
      var isAnswered = false
      performLine(line) { [self] text in
        isAnswered = true
        take(text, for: index)
        if waits { perform() }
      }
      if waits, !isAnswered { return }
    }
  }

  private func refusal(of line: [UInt8], reads: Bool) -> ProtocolError? {
    if line.count > messageBytesMax {
      return ProtocolError(.tooLarge, SendEndpoint.tooLarge(line.count, messageBytesMax))
    }
    if !JSONScanner.isValidUTF8(line.span) { return ProtocolError(.badRequest, "the line is not valid UTF-8") }
    if reads, answerBytes > SendBatch.answerBytesMax {
      return ProtocolError(.tooLarge, "the answers of this batch are too large already: ask this in another request")
    }
    return nil
  }

  /// Whether an operation is one whose answer may be large.
  private static func reads(_ line: [UInt8]) -> Bool {
    guard let operation = try? ClientOperation(parsing: line.span) else { return false }
    switch operation.kind {
    case .history, .presence, .request: return true
    case .message, .join, .leave, .direct, .broadcast, .state, .ping, .auth: return false
    }
  }

  private func take(_ text: [UInt8], for index: Int) {
    answers[index] = text
    answerBytes += text.count
    awaited -= 1
    guard awaited == 0 else { return }
    var body: [UInt8] = []
    body.reserveCapacity(answerBytes + answers.count)
    for answer in answers {
      body.append(contentsOf: answer)
      body.append(UInt8(ascii: "\n"))
    }
    done(body)
  }
}
