import Transfers

/// What was wrong with a backend's answer, or why there is none. Holds nothing of the answer.
public enum BackendFailure: Error, Equatable, Sendable {
  /// There is no answer; the words of the fault are for the log.
  case transfer(TransferFault.Kind, String)
  case status(Int)
  /// It is none that can be used.
  case unusable(UnusableAnswer)

  /// What clients read: nothing of what only the backend's operator can change, which the log has.
  var forClients: String {
    let problem =
      switch self {
      case .transfer(let kind, _): BackendFailure.problem(kind)
      case .status(let status): "the backend answered with status \(status)"
      case .unusable: BackendFailure.unusableAnswer
      }
    return "\(problem); nothing was done, try again in a moment"
  }

  private static let unusableAnswer = "the backend's answer cannot be used"

  private static func problem(_ kind: TransferFault.Kind) -> String {
    switch kind {
    case .timedOut: "the backend did not answer in time"
    case .notHTTP, .tooLong: unusableAnswer
    case .tooManyRequests: "the backend has too much to answer"
    case .unknownHost, .untrusted, .noTLS, .closed, .unreachable: "the backend cannot be reached"
    }
  }

  /// What the log says, as a sentence about the answer.
  public var forLog: String {
    switch self {
    case .transfer(_, let words): "no answer: \(words)"
    case .status(let status): "its status is \(status)"
    case .unusable(let answer): "\(answer)"
    }
  }

  /// What makes two failures the same for the log: what stands after a colon differs from answer to answer.
  var logKey: String {
    switch self {
    case .transfer(let kind, _): "\(kind)"
    case .status(let status): "\(status)"
    case .unusable(let answer): String(answer.description.prefix { $0 != ":" })
    }
  }
}
