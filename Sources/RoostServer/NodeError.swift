import ClientProtocol
import Realtime
import RoostJSON

/// One JSON value as UTF-8 text.
public typealias JSON = RoostJSON.JSON

/// Why a node could not start, or did not do what it was asked.
public struct NodeError: Error, Hashable, CustomStringConvertible {
  /// What a program tells errors apart by.
  public enum Code: Sendable {
    /// A setting is unknown, has no possible value, or contradicts another.
    case invalidSettings
    /// The port is taken, or a file or the system does not give what the node needs.
    case cannotStart
    /// The node has been stopped, or has not started.
    case stopped
    /// ``EmbeddingLimits/callsWaitingMax`` or ``EmbeddingLimits/callBytesMax`` is reached: nothing was done. Ask again after
    /// calls that wait were answered.
    case overloaded
    /// Redis is out of reach: nothing was done. Ask again in a moment.
    case unavailable
    /// Redis went out of reach before it answered: it may have been done all the same. Ask again with the same
    /// `idempotencyKey`.
    case uncertain
    /// What was asked for can never be done: the name of a room or user is not allowed, or the data is no JSON object.
    case refused
  }

  /// What happened.
  public let code: Code
  /// What happened and what to change, in one line for people. It never holds a secret.
  public let message: String

  /// Makes an error.
  public init(_ code: Code, _ message: String) {
    self.code = code
    self.message = message
  }

  /// The message.
  public var description: String { message }
}

extension NodeError {
  init(_ error: ProtocolError) { self.init(.refused, "\(error.code.rawValue): \(error.message)") }

  init(_ error: BrokerError) {
    switch error {
    case .unavailable: self.init(.unavailable, "Redis is out of reach, and nothing was done: ask again in a moment")
    case .uncertain:
      self.init(
        .uncertain, "Redis went out of reach before it answered: ask again with the same idempotencyKey")
    case .refused, .unsupported: self.init(.refused, "the broker refuses it; the node's log says why")
    }
  }

  static let stopped = NodeError(.stopped, "the node has been stopped: start another one")
}

/// How much may wait between a program and the node inside it. Each bound keeps what is slow on one side from filling the
/// memory of the other.
public enum EmbeddingLimits {
  /// Calls of a node's methods that wait for their answer: enough for a second of publishing at full speed. One more throws
  /// ``NodeError/Code/overloaded``.
  public static let callsWaitingMax = 50_000
  /// Bytes of the data of those calls: 64 MiB. One call may wait however large it is.
  public static let callBytesMax = 64 << 20
  /// Events that wait for an observer: some seconds of a busy node. Of more the newest are dropped and counted:
  /// ``NodeEvent/missed(_:)``.
  public static let eventsWaitingMax = 65_536
  /// Bytes of those events: 64 MiB.
  public static let eventBytesMax = 64 << 20
  /// Lines that wait for a log handler. Of more the newest are dropped and counted in the metric
  /// `roost_log_dropped_total`.
  public static let logLinesWaitingMax = 10_000
}
