import Transfers

/// What was wrong with a backend's answer, or why there is none. Holds nothing of the answer.
public enum BackendFailure: Error, Equatable, Sendable {
  /// There is no answer; the words of the fault are for the log.
  case transfer(TransferFault.Kind, String)
  case status(Int)
  /// It is none that can be used.
  case unusable(UnusableAnswer)

  /// What clients read.
  var forClients: String {
    let problem =
      switch self {
      case .transfer(let kind, _): BackendFailure.problem(kind)
      case .status(let status): "the backend answered with status \(status)"
      case .unusable(let answer): "the backend's answer cannot be used: \(answer)"
      }
    return "\(problem); nothing was done, try again in a moment"
  }

  private static func problem(_ kind: TransferFault.Kind) -> String {
    switch kind {
    case .unknownHost: "the backend's name has no address"
    case .timedOut: "the backend did not answer in time"
    case .untrusted: "the backend's certificate is not accepted"
    case .noTLS: "the backend does not speak TLS as this node does"
    case .notHTTP: "what the backend answered is not HTTP"
    case .closed: "the backend closed the connection before it answered"
    case .tooLong: "the backend's answer is longer than \(WebhookLimits.responseBytesMax / 1024) KiB"
    case .tooManyRequests: "the backend has too much to answer"
    case .unreachable: "the backend does not take connections"
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
