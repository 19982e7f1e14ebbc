import ClientProtocol
import JSONCore
import Realtime

/// Messages that wait for a poll connection, those of one block with a separator between them. Blocks may be shared.
struct PollQueue {
  /// What stands between two messages of an answer.
  private let separator: UInt8
  private var blocks: [[UInt8]] = []
  private(set) var byteCount = 0
  /// Bytes among them that the client has asked for. What is taken counts as the others first.
  private var solicitedBytes = 0

  var isEmpty: Bool { byteCount == 0 }
  /// Bytes that others cause: what the limit of the queue is for.
  var unsolicitedBytes: Int { byteCount - solicitedBytes }

  /// A queue of JSON texts, unless another separator is given.
  init(separator: UInt8 = UInt8(ascii: ",")) { self.separator = separator }

  mutating func push(_ block: [UInt8], isSolicited: Bool = false) {
    guard !block.isEmpty else { return }
    blocks.append(block)
    byteCount += block.count
    if isSolicited { solicitedBytes += block.count }
  }

  /// Takes blocks of so many bytes together, at least one, with separators between them.
  mutating func take(bytesMax: Int) -> [UInt8] {
    var (count, bytes) = (0, 0)
    while count < blocks.count, count == 0 || bytes + blocks[count].count <= bytesMax {
      bytes += blocks[count].count
      count += 1
    }
    guard count > 1 else {
      guard count == 1 else { return [] }
      let block = blocks.removeFirst()
      if blocks.isEmpty { blocks = [] }
      remove(block.count)
      return block
    }
    var text: [UInt8] = []
    text.reserveCapacity(bytes + count)
    for block in blocks[..<count] {
      if !text.isEmpty { text.append(separator) }
      text += block
    }
    if count == blocks.count { blocks = [] } else { blocks.removeFirst(count) }
    remove(bytes)
    return text
  }

  private mutating func remove(_ bytes: Int) {
    byteCount -= bytes
    solicitedBytes = min(solicitedBytes, byteCount)
  }
}

/// A client that polls: no socket is its own, its messages wait here for the next request. Lives in a slab.
struct PollConnection: ~Copyable {
  /// A poll that waits for something to come.
  final class Waiter {
    let seq: UInt64
    let reply: (ConnectionAnswer) -> Void

    init(seq: UInt64, _ reply: @escaping (ConnectionAnswer) -> Void) {
      self.seq = seq
      self.reply = reply
    }
  }

  /// The request that opens it, until it is answered.
  final class Opening {
    /// Rooms whose join is not answered.
    var roomsLeft: Int
    /// Why it cannot be opened.
    var failure: ConnectionAnswer?
    let reply: (ConnectionAnswer) -> Void

    init(rooms: Int, _ reply: @escaping (ConnectionAnswer) -> Void) {
      roomsLeft = rooms
      self.reply = reply
    }
  }

  /// What is known of one whose session has ended: it stays for a while, so that its client gets the rest and the reason.
  struct End {
    let reason: CloseReason
    let name: [UInt8]
    let owner: ConnectionOwner?
  }

  let address: [UInt8]
  var session: SlabID?
  var queue = PollQueue()
  /// The number of the last answer with messages.
  var seq: UInt64 = 0
  /// Its messages, until they are confirmed.
  var unconfirmed: [UInt8]?
  var waiter: Waiter?
  var opening: Opening?
  /// Why it is closing, before its session has ended.
  var closing: CloseReason?
  var end: End?
  /// The tick at which the waiting poll is answered with nothing, or the connection ends.
  var deadline: UInt32 = 0
  /// The tick of the visit that counts.
  var due: UInt32 = 0
  var isDirty = false
  var awaitsRoom = false
  var hasRefusedOffers = false
  /// Whether the hub knows that it takes no more, of rooms whose rule spares slow readers.
  var isUnwritable = false

  init(address: [UInt8]) { self.address = address }

  /// Whether a session may be given something.
  var isOpen: Bool { closing == nil && end == nil }

  /// An answer with some messages.
  ///
  /// - Parameter name: of the connection, in its first answer.
  static func answer(seq: UInt64, name: [UInt8]? = nil, _ messages: [UInt8]) -> ConnectionAnswer {
    var body: [UInt8] = []
    body.reserveCapacity(messages.count + 96)
    body.append(UInt8(ascii: "{"))
    if let name {
      body.append(contentsOf: "\"connection\":".utf8)
      JSONString.append(name.span, to: &body)
      body.append(UInt8(ascii: ","))
    }
    body.append(contentsOf: "\"seq\":".utf8)
    JSONNumber.append(seq, to: &body)
    body.append(contentsOf: ",\"messages\":[".utf8)
    body += messages
    body.append(contentsOf: "]}".utf8)
    return ConnectionAnswer(status: 200, body)
  }
}
