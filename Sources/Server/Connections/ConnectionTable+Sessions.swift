import ClientProtocol
import LoopCore
import Realtime
import WebSocketCore

extension ConnectionTable {
  /// Opens the session of a connection that has just become a WebSocket. Over the limit it is told to come back.
  ///
  /// - Parameters:
  ///   - user: whose it is, where names are believed.
  ///   - token: what is to prove whose it is; without either, an `auth` must come.
  func openSession(_ id: SlabID, user: [UInt8]?, token: [UInt8]?) {
    guard connections.contains(id), connections[id.index].stage == .websocket else { return }
    if let max = limits.connectionsMax, webSocketCount > max {
      metrics.connectionsRefused += 1
      metrics.refusals.add(.connections)
      return close(id.index, because: .full)
    }
    let sharesCompression = connections[id.index].deflateBits == MessageCompression.sharedWindowBits
    let session = hub.open(
      Arriving(
        target: id.index, form: sharesCompression ? .deflated : .plain, transport: .websocket,
        address: connections[id.index].address, user: user, token: token,
        isLocal: number(of: connections[id.index].address).isLocal))
    // The hub may have found the connection's queue full with its greeting: then it is closing already.
    if connections[id.index].stage == .websocket {
      connections[id.index].session = session
    } else {
      ending.append(session)
    }
  }

  /// Bytes that wait in all queues, and in rooms for readers who are behind.
  var queuedBytes: Int {
    var sum = hub.lagBytes
    for index in 0..<connections.end where connections.isOccupied(index) { sum += connections[index].outbox.byteCount }
    return sum
  }

  // MARK: Drain

  /// Tells every WebSocket to come back elsewhere, each at its own random moment within `milliseconds`, and closes it
  /// then with 1012: the other nodes get their guests one by one.
  func drain(within milliseconds: Int) {
    let schedule = DrainSchedule(drainMilliseconds: milliseconds)
    var generator = SystemRandomNumberGenerator()
    for index in 0..<connections.end where connections.isOccupied(index) {
      let id = connections.id(at: index)
      guard connections[index].stage == .websocket, let session = connections[index].session else {
        if connections[index].stage == .request || connections[index].stage == .idle { finish(index) }
        continue
      }
      let moment = schedule.moment(using: &generator)
      hub.announceReconnect(session, afterMilliseconds: moment)
      loop.after(milliseconds: moment) { [weak self] in
        guard let self, self.connections.contains(id) else { return }
        self.close(index, because: .draining)
      }
    }
  }
}
