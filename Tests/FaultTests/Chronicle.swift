import JSONCore

/// Where a message stands in a room.
struct Place: Hashable, CustomStringConvertible {
  let epoch: String
  let offset: Int

  var description: String { "\(epoch):\(offset)" }
}

/// Something that was done or seen. All of it happens on one thread, so the order of records is an order of events.
enum Fact {
  /// A publish was sent for the first time.
  case sent(room: String, body: String, echo: Bool)
  case acked(room: String, body: String, Place)
  /// An operation was answered by an error.
  case refused(code: String)
  case opened(node: String)
  /// The connection is over: by the client's own will, or by the server's.
  case closed(byServer: Bool, why: String)
  /// A join is on its way.
  case joining(room: String)
  /// The answer to a join.
  case joined(room: String, Place, since: Place?, recovered: Bool?)
  /// A `joined` that nobody asked for: a new epoch, in which something may be missing.
  case renewed(room: String, Place)
  /// A `joined` that nobody asked for: the epoch goes on under another name, and nothing is missing.
  case continued(room: String, epoch: String, Place)
  /// A leave is on its way.
  case leaving(room: String)
  case left(room: String)
  case message(room: String, Place, body: String)
  case gap(room: String, from: Int, to: Int)
  case notice(room: String, user: String, hasJoined: Bool)
  /// This node lost Redis, or has it back.
  case degraded(Bool)
  case fault(String, loses: Fault.Loss)
  case healed(String)
  /// What breaks the protocol itself.
  case nonsense(String)
}

struct Record: CustomStringConvertible {
  /// Milliseconds since the run began.
  let at: Int
  /// The client, or `-` for the bed.
  let who: String
  let fact: Fact

  var description: String { "\(at) ms  \(who)  \(fact)" }

  /// The room that it is about, or nil.
  var room: String? {
    switch fact {
    case .sent(let room, _, _), .acked(let room, _, _), .joining(let room), .joined(let room, _, _, _),
      .renewed(let room, _), .continued(let room, _, _), .leaving(let room), .left(let room), .message(let room, _, _),
      .gap(let room, _, _),
      .notice(let room, _, _):
      room
    default: nil
    }
  }
}

/// Everything that happened in a run, in order.
final class Chronicle {
  private(set) var records: [Record] = []
  /// Milliseconds since the run began; the run moves it.
  var now = 0

  func note(_ who: String, _ fact: Fact) { records.append(Record(at: now, who: who, fact: fact)) }
}

/// A promise that was broken, by the record that shows it.
struct Violation: CustomStringConvertible {
  let promise: String
  /// Whose records tell the story.
  let who: String
  let room: String?
  /// The place in the chronicle, or nil for its end.
  let index: Int?

  var description: String { "\(promise) (\(who)\(room.map { ", room \($0)" } ?? ""))" }
}
