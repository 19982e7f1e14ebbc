import ClientProtocol
import JSONCore

// Messages outside of rooms, direct and broadcast: who may send them, how many, and what becomes of those that a connection
// cannot take. Nobody has joined anything to get them, so they never close a connection: they are dropped and counted.

/// Who among clients may send direct messages.
public enum DirectPolicy: Sendable {
  case everyone
  case nobody
  /// Those whose token's permissions list `direct`.
  case permitted
}

extension Hub {
  /// Whether a caller may send a direct message to a user now; else it was refused.
  func mayDirect(_ caller: Caller, to receiver: [UInt8], _ answerID: [UInt8]?) -> Bool {
    switch configuration.clientDirects {
    case .everyone: break
    case .nobody:
      refuse(caller, .forbidden, "clients may not send direct messages here", answerID)
      return false
    case .permitted:
      guard identity(of: caller)?.mayDirect ?? true else {
        refuse(
          caller, .forbidden, "the token does not allow direct messages: its permissions must list direct", answerID)
        return false
      }
    }
    guard isAuthorised(.direct(to: receiver), caller, answerID) else { return false }
    let perSecond = configuration.directsPerSecond.value(isLocal: isLocal(caller))
    guard perSecond > 0, !receiverRates.take(for: receiver, perSecond: perSecond, at: steady()) else { return true }
    counters.refusals.add(.directs)
    refuse(
      caller, .rateLimited, "the user takes \(perSecond) direct messages a second on this node: send it later", answerID
    )
    return false
  }

  /// Gives a message outside of rooms to the connections of many sessions, encoded once. Returns to how many it was given.
  @discardableResult
  func offer(_ text: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach receivers: [UInt32]) -> Int {
    var targets = TargetsByFormat()
    for session in receivers { targets[sessions[session].form].append(sessions[session].target) }
    var refusedCount = 0
    for form in DeliveryForm.allCases where !targets[form].isEmpty {
      guard let refused = transports[form]?.offer(text, kind, allotment, toEach: targets[form]), !refused.isEmpty
      else { continue }
      let isRefused = Set(refused)
      for session in receivers where sessions[session].form == form && isRefused.contains(sessions[session].target) {
        refusedCount += 1
        counters.slowDropped += 1
        droppedMessages.note(sessions.id(at: session))
      }
    }
    return receivers.count - refusedCount
  }

  /// Tells a connection how many messages outside of rooms it has missed. Called when it can take more after an offer to
  /// it was refused.
  public func canTakeMore(_ id: SlabID) {
    guard let count = droppedMessages.take(id) else { return }
    answer(id, .directDropped(count: count))
  }
}

extension Envelope {
  /// What its receivers get, of a message outside of rooms.
  var eventKind: EventKind { kind == .direct ? .direct : .broadcast }

  /// How much of a connection's queue a message outside of rooms may fill. What has no sending connection is the operator's.
  func allotment(in bytes: Span<UInt8>) -> Allotment {
    origin.count == 1 && bytes[origin.lowerBound] == UInt8(ascii: "-") ? .operators : .clients
  }
}
