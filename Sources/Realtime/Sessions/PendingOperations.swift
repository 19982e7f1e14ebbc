import ClientProtocol
import JSONCore

/// Operations that wait until their session has joined a room, or until its token is judged.
/// Confined to the loop that created its hub.
final class PendingOperations {
  private let context: HubContext
  private let backPressure: BackPressure
  private var postponed: [SlabID: [Postponed]] = [:]
  /// The sessions whose join has ended one way or the other.
  private var settled: [SlabID] = []

  init(_ context: HubContext, backPressure: BackPressure) {
    self.context = context
    self.backPressure = backPressure
  }

  func postpone(_ form: Postponed.Form, _ bytes: Span<UInt8>, of id: SlabID, answerID: [UInt8]?) {
    guard postponed[id, default: []].count < Limits.postponedOperationsMax else {
      return context.refuse(id, .unavailable, "too many operations wait for a join: wait for its answer", answerID)
    }
    postponed[id, default: []].append(Postponed(form, bytes, answerID: answerID))
    backPressure.operationBegins(id, bytes: bytes.count)
  }

  /// Gives up what has waited for a join or for a token to be judged.
  func forgetPostponed(_ id: SlabID) {
    for operation in postponed.removeValue(forKey: id) ?? [] {
      backPressure.operationEnds(id, bytes: operation.bytes.count)
    }
  }

  /// Notes that a join of a session has ended one way or the other: what waited for it is done at the end of the tick.
  func settle(_ id: SlabID) { if postponed[id] != nil { settled.append(id) } }

  /// Whether operations are to be done at the end of the tick.
  var hasSettled: Bool { !settled.isEmpty }

  /// Takes the sessions whose join has ended.
  func takeSettled() -> [SlabID] {
    var ids: [SlabID] = []
    swap(&ids, &settled)
    return ids
  }

  /// Takes what a session's operations are that wait, in their order.
  func take(_ id: SlabID) -> [Postponed] { postponed.removeValue(forKey: id) ?? [] }
}
