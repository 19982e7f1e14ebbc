/// What becomes of a question to another node.
public enum NodeAnswer: Equatable, Sendable {
  /// What the node has answered.
  case answered([UInt8])
  /// No node with that id is there, or it has ended before it answered: nothing is left of what was asked about.
  case absent
  /// The broker is out of reach, too much waits, or the node has not answered in time: it may have been done all the same.
  case unavailable
}

/// Questions between nodes: any node takes the requests of any connection and has the node that holds it answer.
public protocol NodeMessenger: AnyObject {
  /// Asks a node, by its id. Answers exactly once, at the latest when the time is over. A late answer is dropped.
  ///
  /// What the node does with the question is its `BrokerListener`'s business; a question is delivered at most once.
  func ask(
    node: [UInt8], _ question: [UInt8], withinMilliseconds milliseconds: Int, _ reply: @escaping (NodeAnswer) -> Void)
}

/// The limits of questions between nodes.
public enum QuestionLimits {
  /// Questions of one node that wait for an answer. Each stands for a request of a client, which holds a connection of this
  /// node, so the limit is above what one process has descriptors for; at some 200 bytes each. One more is answered with
  /// `unavailable` at once.
  public static let pendingMax = 100_000
  /// Bytes of one question: the largest operation that `max-message` may allow, and what stands before it. A larger one is
  /// answered with `unavailable` at once.
  public static let questionBytesMax = (16 << 20) + 4096
  /// Bytes of one answer: the largest message that `max-message` may allow and what may stand beside it. Instead of a larger
  /// one the node that asks gets `unavailable` at once.
  public static let answerBytesMax = 24 << 20
  /// Milliseconds between two looks at whether the nodes that are asked are still there: a poll may wait for a minute, and
  /// its client should open another connection as soon as its node has ended. Two looks in a row must find nobody: a node
  /// whose link to Redis broke is back by then.
  public static let presenceMilliseconds = 2_000
  /// Milliseconds for which an operation on another node is waited for.
  public static let operationMilliseconds = 5_000
}

/// Questions whose answers have not come, by their number. Pure.
public struct PendingQuestions<Waiter> {
  /// Milliseconds by which an unanswered question may end later than asked: deadlines are looked at in steps.
  public static var stepMilliseconds: UInt64 { 250 }

  private struct Entry {
    let node: [UInt8]
    let waiter: Waiter
  }

  private var entries: [UInt64: Entry] = [:]
  /// The numbers of questions by the step in which their time is over; those that were answered meanwhile included.
  private var steps: [UInt64: [UInt64]] = [:]
  private var lastNumber: UInt64
  private let max: Int

  /// - Parameters:
  ///   - first: numbers count from here. Random, so that no answer to an earlier process answers this one.
  ///   - max: questions that may wait at a time.
  public init(first: UInt64 = .random(in: 0..<1 << 48), max: Int = QuestionLimits.pendingMax) {
    lastNumber = first
    self.max = max
  }

  /// Questions that wait.
  public var count: Int { entries.count }
  /// Whether nothing waits, and no step has to be looked at.
  public var isEmpty: Bool { entries.isEmpty }

  /// The nodes that were asked.
  public var nodes: Set<[UInt8]> { Set(entries.values.lazy.map(\.node)) }

  /// Adds a question and returns its number; nil when too many wait.
  ///
  /// - Parameter deadline: when it is given up, in milliseconds.
  public mutating func add(to node: [UInt8], until deadline: UInt64, _ waiter: Waiter) -> UInt64? {
    guard entries.count < max else { return nil }
    lastNumber &+= 1
    entries[lastNumber] = Entry(node: node, waiter: waiter)
    steps[deadline / PendingQuestions.stepMilliseconds + 1, default: []].append(lastNumber)
    return lastNumber
  }

  /// Takes the waiter of a question; nil when it was answered or given up before.
  public mutating func take(_ number: UInt64) -> Waiter? { entries.removeValue(forKey: number)?.waiter }

  /// Takes the waiters whose time is over.
  public mutating func takeDue(at now: UInt64) -> [Waiter] {
    let step = now / PendingQuestions.stepMilliseconds
    var due: [Waiter] = []
    for key in steps.keys where key <= step {
      for number in steps.removeValue(forKey: key) ?? [] {
        if let waiter = take(number) { due.append(waiter) }
      }
    }
    return due
  }

  /// Takes the waiters of the nodes that `isAffected` chooses.
  public mutating func take(where isAffected: (_ node: [UInt8]) -> Bool) -> [Waiter] {
    let numbers = entries.filter { isAffected($0.value.node) }.keys
    return numbers.compactMap { take($0) }
  }
}
