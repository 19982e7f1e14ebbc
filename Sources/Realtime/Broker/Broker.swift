import ClientProtocol

/// Why a broker could not do what was asked.
public enum BrokerError: Error, Equatable, Sendable {
  /// The broker is out of reach, or refused: nothing was done.
  case unavailable
  /// The broker went out of reach before it answered: it may have been done all the same.
  case uncertain
  /// The broker is there, and what it holds for this is not what it should be: nothing was done, and trying again changes
  /// nothing. Its log names what is wrong.
  case refused
  /// What this broker can never do, however often it is asked.
  case unsupported
}

/// Why a broker that is there does nothing, for those who ask.
public struct BrokerRefusal: Equatable, Sendable {
  /// What it does, such as `Redis refuses commands (OOM)`.
  public let what: String
  /// What its operator can change.
  public let advice: String

  public init(what: String, advice: String) {
    self.what = what
    self.advice = advice
  }
}

/// The answer of a broker, given on the loop's thread, possibly before the call that asked for it returns.
public typealias BrokerReply<Value> = (Result<Value, BrokerError>) -> Void

extension Result where Failure == BrokerError {
  /// Why it failed; `unavailable` for what has not.
  var fault: BrokerError { failure ?? .unavailable }

  /// Why it failed; nil: it has not.
  var failure: BrokerError? { if case .failure(let error) = self { error } else { nil } }
}

/// Carries messages between nodes, keeps the order and the history of rooms, and knows which connections are in which rooms.
///
/// Two implementations: `EmbeddedBroker` for one node without Redis, and the Redis backend. Both pass one contract test.
/// Everything is called on the loop's thread, and everything answers there. A call that fails has no effect that the
/// caller must undo: `enter` and `connect` are remembered by the caller, which asserts them again on `presenceLost`.
public protocol Broker: MessageBroker, PresenceBroker, ClusterDirectory, NodeMessenger {
  /// Receives what arrives. Set once, before anything else is called; not owned.
  var listener: (any BrokerListener)? { get set }
  /// Whether a publish would be accepted now; with several masters, in some room.
  var isAvailable: Bool { get }
  /// Whether nothing is out of reach.
  var isWhole: Bool { get }
  /// What it refused a moment ago though it is in reach; nil: nothing, so a failure means that it is out of reach.
  var refusal: BrokerRefusal? { get }
}

extension Broker {
  /// A broker of a single place is whole when it is available.
  public var isWhole: Bool { isAvailable }

  /// A broker without a server refuses nothing.
  public var refusal: BrokerRefusal? { nil }
}
