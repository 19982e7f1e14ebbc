import ClientProtocol
import Realtime

extension BrokerError {
  /// What a caller over HTTP is answered when the broker did not do something.
  ///
  /// - Parameter refusal: what a Redis that is there refused a moment ago; nil: nothing.
  func answer(broker refusal: BrokerRefusal?) -> ProtocolError {
    switch self {
    case .unavailable, .unsupported:
      let reason = refusal.map { "\($0.what): \($0.advice)," } ?? "Redis is out of reach:"
      return ProtocolError(.unavailable, "\(reason) try again when /readyz answers 200")
    case .refused:
      return ProtocolError(
        .internal,
        "what Redis holds for this is of another type than Roost writes; nothing was done: the node's log names the key"
      )
    case .uncertain:
      let reason = refusal.map { "\($0.what): \($0.advice)" } ?? "Redis went out of reach before it answered"
      return ProtocolError(
        .unavailable, "\(reason); it may have been done: repeat it with the same Idempotency-Key")
    }
  }
}
