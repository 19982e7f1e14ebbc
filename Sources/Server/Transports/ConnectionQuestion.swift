import ClientProtocol
import JSONCore
import Realtime

/// What a request asks of a connection that any node may hold, and its form between nodes. Pure.
struct ConnectionQuestion: Equatable {
  enum Kind: Equatable {
    /// One operation of the client protocol, as JSON in valid UTF-8.
    case operation([UInt8])
    /// What has come since `seq`, which is confirmed, within so many milliseconds.
    case poll(seq: UInt64, waitMilliseconds: Int)
    /// The end of a poll connection.
    case end
    /// What has come for an Engine.IO connection, within so many milliseconds; 0: nothing, and the poll that waits gets nothing
    /// either. `tag` tells a request from those before it: one that a proxy repeats has the same.
    case enginePoll(milliseconds: Int, tag: [UInt8])
    /// The packets of an Engine.IO connection.
    case enginePost([UInt8])
  }

  let kind: Kind
  /// The connection's name.
  let connection: [UInt8]
  /// Whose the connection must be; nil: the request did not say, and names are believed.
  let owner: ConnectionOwner?

  init(_ kind: Kind, of connection: [UInt8], by owner: ConnectionOwner?) {
    self.kind = kind
    self.connection = connection
    self.owner = owner
  }

  /// The id of the node that holds the connection; nil: no connection has such a name.
  var node: [UInt8]? {
    switch kind {
    case .operation, .poll, .end: Hub.node(ofConnection: connection)
    case .enginePoll, .enginePost: EngineID.node(of: connection)
    }
  }

  /// What has a poll answered that waits; nil: it is none that waits.
  var hurried: ConnectionQuestion? {
    switch kind {
    case .poll(let seq, let wait) where wait > 0:
      // A newer poll ends an older one, and what it gets the next one gets again.
      ConnectionQuestion(.poll(seq: seq, waitMilliseconds: 0), of: connection, by: owner)
    case .enginePoll(let wait, _) where wait > 0:
      ConnectionQuestion(.enginePoll(milliseconds: 0, tag: []), of: connection, by: owner)
    default: nil
    }
  }

  /// How long the node that holds the connection has to answer.
  var milliseconds: Int {
    switch kind {
    case .poll(_, let wait), .enginePoll(let wait, _): wait + QuestionLimits.operationMilliseconds
    case .operation, .end, .enginePost: QuestionLimits.operationMilliseconds
    }
  }

  /// Milliseconds that a poll of Engine.IO may wait: the longest `ping-interval` and `ping-timeout`.
  private static let engineWaitMax = 4_200_000

  // A letter; the lengths of the connection's name, of the user with one more (0: no user) and of its rights, the sequence
  // number and the wait, each as decimal digits and a space; the name, the user, the rights, the operation.

  var encoded: [UInt8] {
    var (letter, seq, wait, text): (UInt8, UInt64, Int, [UInt8]) = (UInt8(ascii: "e"), 0, 0, [])
    switch kind {
    case .operation(let operation): (letter, text) = (UInt8(ascii: "o"), operation)
    case .poll(let number, let milliseconds): (letter, seq, wait) = (UInt8(ascii: "p"), number, milliseconds)
    case .end: break
    case .enginePoll(let milliseconds, let tag): (letter, wait, text) = (UInt8(ascii: "g"), milliseconds, tag)
    case .enginePost(let body): (letter, text) = (UInt8(ascii: "s"), body)
    }
    var bytes = [letter]
    let (user, rights) = (owner?.user ?? [], owner?.rights ?? [])
    let lengths = [connection.count, owner == nil ? 0 : user.count + 1, rights.count].map { UInt64($0) }
    for number in lengths + [seq, UInt64(wait)] {
      JSONNumber.append(number, to: &bytes)
      bytes.append(UInt8(ascii: " "))
    }
    return bytes + connection + user + rights + text
  }

  /// Reads what `encoded` writes; nil for anything else.
  init?(_ bytes: [UInt8]) {
    var start = 1
    var numbers: [UInt64] = []
    while numbers.count < 5 {
      guard start < bytes.count, let end = bytes[start...].prefix(21).firstIndex(of: UInt8(ascii: " ")),
        let number = JSONNumber.unsigned(bytes.span.extracting(start..<end))
      else { return nil }
      numbers.append(number)
      start = end + 1
    }
    let left = UInt64(bytes.count - start)
    guard numbers[0] <= left, numbers[1] <= left - numbers[0] + 1,
      numbers[4] <= UInt64(ConnectionQuestion.engineWaitMax)
    else { return nil }
    let userStart = start + Int(numbers[0])
    let rightsStart = userStart + Int(numbers[1] > 0 ? numbers[1] - 1 : 0)
    guard numbers[2] == 0 || numbers[2] == UInt64(ConnectionOwner.rightsBytes) && numbers[1] > 0,
      numbers[2] <= UInt64(bytes.count - rightsStart)
    else { return nil }
    let textStart = rightsStart + Int(numbers[2])
    connection = Array(bytes[start..<userStart])
    let rights = numbers[2] > 0 ? Array(bytes[rightsStart..<textStart]) : nil
    owner = numbers[1] > 0 ? ConnectionOwner(user: Array(bytes[userStart..<rightsStart]), rights: rights) : nil
    let text = Array(bytes[textStart...])
    switch bytes[0] {
    case UInt8(ascii: "o"):
      guard JSONScanner.isValidUTF8(text.span) else { return nil }
      kind = .operation(text)
    case UInt8(ascii: "p") where text.isEmpty && numbers[4] <= UInt64(RoomPollEndpoint.waitMax):
      kind = .poll(seq: numbers[3], waitMilliseconds: Int(numbers[4]))
    case UInt8(ascii: "e") where text.isEmpty: kind = .end
    case UInt8(ascii: "g") where text.count <= EngineLimits.tagBytesMax:
      kind = .enginePoll(milliseconds: Int(numbers[4]), tag: text)
    case UInt8(ascii: "s"): kind = .enginePost(text)
    default: return nil
    }
  }
}

/// The answer to a question about a connection: what the request that asked it is answered with.
struct ConnectionAnswer: Equatable {
  /// The HTTP status.
  let status: Int
  /// JSON, or nothing.
  let body: [UInt8]

  init(status: Int, _ body: [UInt8]) {
    self.status = status
    self.body = body
  }

  /// An error in the form of HTTP answers.
  init(_ code: ErrorCode, _ message: String) {
    self.init(status: code.httpStatus, ErrorResponse.make(code, message).body)
  }

  /// An error in the form that suits the question: operations are answered as over a WebSocket.
  init(_ code: ErrorCode, _ message: String, to kind: ConnectionQuestion.Kind) {
    switch kind {
    case .operation: break
    case .poll, .end:
      self.init(code, message)
      return
    case .enginePoll, .enginePost:
      // Its client opens another connection, whatever the reason.
      self.init(status: 400, EngineError.unknownSession.answer.body)
      return
    }
    var text: [UInt8] = []
    ServerEvent.error(code, message).appendJSON(to: &text)
    self.init(status: code.httpStatus, text)
  }

  /// Three digits and the body.
  var encoded: [UInt8] { Array("\(status)".utf8) + body }

  /// Reads what `encoded` writes; nil for anything else.
  init?(_ bytes: [UInt8]) {
    guard bytes.count >= 3, let status = JSONNumber.unsigned(bytes.span.extracting(0..<3)), (200...599).contains(status)
    else { return nil }
    self.init(status: Int(status), Array(bytes.dropFirst(3)))
  }
}
