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
  /// Whether a session may send a direct message to a user now; else it was refused.
  func mayDirect(_ id: SlabID, to receiver: [UInt8], _ answerID: [UInt8]?) -> Bool {
    switch configuration.clientDirects {
    case .everyone: break
    case .nobody:
      refuse(id, .forbidden, "clients may not send direct messages here", answerID)
      return false
    case .permitted:
      guard sessions[id.index].identity?.mayDirect ?? true else {
        refuse(
          id, .forbidden, "the token does not allow direct messages: its permissions must list direct", answerID)
        return false
      }
    }
    let perSecond = configuration.directsPerSecond.value(isLocal: sessions[id.index].isLocal)
    guard perSecond > 0, !receiverRates.take(for: receiver, perSecond: perSecond, at: steady()) else { return true }
    counters.refusals.add(.directs)
    refuse(
      id, .rateLimited, "the user takes \(perSecond) direct messages a second on this node: send it later", answerID)
    return false
  }

  /// Gives a message outside of rooms to the connections of many sessions, encoded once. Returns to how many it was given.
  @discardableResult
  func offer(_ text: Span<UInt8>, _ allotment: Allotment, toEach receivers: [UInt32]) -> Int {
    guard let delivery else { return 0 }
    let refused = Set(delivery.offer(text, .text, allotment, toEach: receivers.map { sessions[$0].target }))
    guard !refused.isEmpty else { return receivers.count }
    for session in receivers where refused.contains(sessions[session].target) {
      counters.slowDropped += 1
      droppedMessages.note(sessions.id(at: session))
    }
    return receivers.count - refused.count
  }

  /// Tells a connection how many messages outside of rooms it has missed. Called when it can take more after an offer to
  /// it was refused.
  public func canTakeMore(_ id: SlabID) {
    guard let count = droppedMessages.take(id) else { return }
    answer(id) { output in
      Answer.begin("direct_dropped", id: nil, to: &output)
      output.append(",\"count\":")
      JSONNumber.append(count, to: &output)
      output.append(UInt8(ascii: "}"))
    }
  }
}

extension Envelope {
  /// How much of a connection's queue a message outside of rooms may fill. What has no sending connection is the operator's.
  func allotment(in bytes: Span<UInt8>) -> Allotment {
    origin.count == 1 && bytes[origin.lowerBound] == UInt8(ascii: "-") ? .operators : .clients
  }
}
