import ClientProtocol
import JSONCore

/// A poll of one room that has no session: what it asks, and how it is answered. Confined to the loop of its hub.
public final class PollWaiter {
  /// How a poll ends.
  public enum Outcome {
    case answer(PollAnswer)
    case refused(ErrorCode, String)
  }

  let room: [UInt8]
  let caller: RequestCaller
  /// Where the client is in the room; nil: it asks where the room is.
  var position: Position?
  /// Whether it waits for a message when there is none.
  var waits: Bool
  /// Whether an operator asks.
  private(set) var isOfOperator = false
  /// Pages of history that were read for it.
  var readCount = 0
  /// Its room, while it is answered from a room of this node.
  var polled: PolledRoom?
  /// Its place among those who wait in the room; nil: it does not wait.
  var place: Int?
  /// How it is answered; nil: it was.
  private var reply: ((Outcome) -> Void)?

  /// - Parameters:
  ///   - since: where the client is in the room; nil: it asks where the room is.
  ///   - waits: whether it waits for a message when there is none, until `Hub.endWait`.
  ///   - reply: takes the outcome. Called once, or never after `Hub.cancel`.
  public init(
    room: [UInt8], since: Position?, waits: Bool, by caller: RequestCaller, reply: @escaping (Outcome) -> Void
  ) {
    self.room = room
    self.caller = caller
    position = since
    self.waits = waits
    self.reply = reply
  }

  /// A poll of an operator, who may read every room and is held to no rate.
  ///
  /// - Parameters:
  ///   - since: where the operator is in the room; nil: it asks where the room is.
  ///   - reply: takes the outcome. Called once, or never after `Hub.cancel`.
  public convenience init(operatorReading room: [UInt8], since: Position?, reply: @escaping (Outcome) -> Void) {
    // No user has an empty name.
    let caller = RequestCaller(user: [], identity: nil, address: []) { _, _ in }
    self.init(room: room, since: since, waits: true, by: caller, reply: reply)
    isOfOperator = true
  }

  /// Milliseconds since 1970 at which its client's token ends, and its wait with it; nil: never.
  public var expiresAt: UInt64? { caller.identity?.expiresAt }

  /// Whether it was answered, or given up.
  public var isDone: Bool { reply == nil }

  /// Takes the way to answer it, so that it is answered once.
  func takeReply() -> ((Outcome) -> Void)? {
    defer { reply = nil }
    return reply
  }
}

/// The answer to a poll. Polls that ask the same share one, and what a transport has made of it.
public final class PollAnswer {
  /// The whole answer, one JSON object.
  public let json: [UInt8]
  /// Where the client is after it.
  public let position: Position
  /// Whether the client has missed nothing.
  public let isRecovered: Bool
  public let messageCount: Int
  /// The answer as a transport sends it, made with the first that needs it. The transport's own.
  public var encoded: [UInt8]?

  /// - Parameters:
  ///   - messages: one JSON object each.
  ///   - hasMore: whether the room has later messages than these.
  init(
    room: [UInt8], at position: Position, isRecovered: Bool = true, messages: [[UInt8]] = [], hasMore: Bool = false
  ) {
    var json: [UInt8] = []
    json.reserveCapacity(messages.reduce(128 + room.count) { $0 + $1.count + 1 })
    json.append("{\"room\":")
    JSONString.append(room.span, to: &json)
    json.append(",\"epoch\":\"")
    position.epoch.append(to: &json)
    json.append("\",\"offset\":")
    JSONNumber.append(position.offset, to: &json)
    json.append(isRecovered ? ",\"recovered\":true,\"messages\":[" : ",\"recovered\":false,\"messages\":[")
    for (index, message) in messages.enumerated() {
      if index > 0 { json.append(UInt8(ascii: ",")) }
      json.append(contentsOf: message)
    }
    json.append(hasMore ? "],\"more\":true}" : "]}")
    self.json = json
    self.position = position
    self.isRecovered = isRecovered
    messageCount = messages.count
  }
}

/// A room that is polled on this node. It is kept as if it had a member, from the first poll until some time after the last.
/// Confined to the loop of its hub.
final class PolledRoom {
  let room: Room
  /// Polls that wait for the room to be known.
  var opening: [PollWaiter] = []
  /// Polls that wait for a message.
  private(set) var waiters: [PollWaiter] = []
  /// Milliseconds of the last poll.
  var polledAt: UInt64
  /// The last answers by where the client was, as long as the room is where it was then.
  private var answers: [Position: PollAnswer] = [:]
  private var answeredAt: Position?

  /// Answers that are kept: clients who poll on are at a few places.
  private static let answersMax = 16

  init(_ room: Room, polledAt: UInt64) {
    self.room = room
    self.polledAt = polledAt
  }

  func add(_ waiter: PollWaiter) {
    waiter.place = waiters.count
    waiters.append(waiter)
  }

  /// Fills the hole with the last one: constant time however many wait.
  func remove(_ waiter: PollWaiter) {
    guard let place = waiter.place else { return }
    waiter.place = nil
    let last = waiters.removeLast()
    guard last !== waiter else { return }
    waiters[place] = last
    last.place = place
  }

  /// Takes those who are not where the room is.
  func takeWaiters(where isDue: (PollWaiter) -> Bool) -> [PollWaiter] {
    var due: [PollWaiter] = []
    var rest: [PollWaiter] = []
    for waiter in waiters {
      if isDue(waiter) {
        waiter.place = nil
        due.append(waiter)
      } else {
        waiter.place = rest.count
        rest.append(waiter)
      }
    }
    waiters = rest
    return due
  }

  /// The answer to a client that was at a position, made once.
  func answer(since: Position, at current: Position, _ make: () -> PollAnswer?) -> PollAnswer? {
    if answeredAt != current || answers.count >= PolledRoom.answersMax {
      answers.removeAll(keepingCapacity: true)
      answeredAt = current
    }
    if let known = answers[since] { return known }
    guard let made = make() else { return nil }
    answers[since] = made
    return made
  }

  /// Whether nobody polls it.
  var isIdle: Bool { waiters.isEmpty && opening.isEmpty }
}
