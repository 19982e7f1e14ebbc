import Realtime

// Rooms heard by the beginning of their names. Redis compares every PUBLISH with every pattern of every node, so a node
// has few of them; one serves all of its members.

extension RedisBroker {
  public func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>) {
    hear(pattern: keys.roomPattern(prefix), reply)
  }

  public func unsubscribe(prefix: [UInt8]) { stopHearing(pattern: keys.roomPattern(prefix)) }

  /// Gives what came through a pattern to the listener. Notices come only to those who subscribe a room by its name: so
  /// nobody has them twice.
  func deliverMatched(_ channelPart: Reply, _ payloadPart: Reply) {
    let channel = channelPart.bytes
    guard case .room(let name) = keys.target(of: channel), !payloadPart.begins(with: "- ") else { return }
    deliver(room: channel.extracting(name), payloadPart.bytes)
  }
}
