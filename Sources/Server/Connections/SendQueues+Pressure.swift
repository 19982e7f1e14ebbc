import Realtime

// What the hub learns about queues: which connections take no more, and which have room again.

extension SendQueues {
  /// Bytes in a queue below which more is made that can wait: pages of history, large answers. One page is made at a time, so
  /// a queue holds little more than this and the page, and a fast connection has the next as soon as it can take it.
  private static let roomBytes = 64 * 1024
  /// Bytes of a connection's own answers that may wait before it is read no further: above the largest single answer that is
  /// usual, so that only a client that goes on asking without reading reaches it.
  private static let answersBytesMax = 2 * 1024 * 1024
  /// RFC 6455 section 5.2: what the server puts before a payload, at the most.
  private static let frameHeadBytesMax = 10

  /// Calls `body` with the session of a connection, or with each that it carries.
  private func forEachSession(of index: UInt32, _ body: (SlabID) -> Void) {
    if let session = connections[index].session { return body(session) }
    if let engine = connections[index].engine { carriers?.forEachSession(of: engine, body) }
  }

  // MARK: Slow readers

  /// Reports to the hub, once, that a connection takes no more.
  func becomeUnwritable(_ index: UInt32) {
    guard hub.sparesSlowReaders, !connections[index].isUnwritable, connections[index].isOpen else { return }
    connections[index].isUnwritable = true
    forEachSession(of: index) { hub.becameUnwritable($0) }
  }

  /// Reports to the hub that all is sent: more may come, which is sent at once or at the end of the tick.
  func becomeWritable(_ index: UInt32) {
    connections[index].isUnwritable = false
    if connections[index].isOpen { forEachSession(of: index) { hub.becameWritable($0) } }
  }

  // MARK: Answers and their pace

  func hasRoom(_ index: UInt32) -> Bool { connections[index].outbox.byteCount < SendQueues.roomBytes }

  func pauseUntilRoom(_ index: UInt32) {
    connections[index].awaitsRoom = true
    input.pause(index, .queue)
  }

  /// Queues one frame as an answer that the connection has asked for. What it has asked for never counts against the limit
  /// of its queue; a connection that does not take its answers is read no further instead.
  @inline(__always)
  func answer(_ index: UInt32, _ write: () -> Void) {
    // A send that is in the ring leaves the queue before the answer is added, not while.
    settle(index)
    let before = connections[index].outbox.byteCount
    write()
    connections[index].outbox.noteSolicited(connections[index].outbox.byteCount - before)
    if connections[index].outbox.solicitedBytes > SendQueues.answersBytesMax { pauseUntilRoom(index) }
  }

  // MARK: Offers

  /// Whether a connection takes so many bytes of what it has not asked for; if not, it is noted that it refused them.
  ///
  /// - Parameter bytesMax: the part of the queue that such messages may fill.
  func mayOffer(_ count: Int, within bytesMax: Int, to index: UInt32) -> Bool {
    settle(index)
    // What was queued in this tick its socket has not had the chance to take.
    if !fits(count, within: bytesMax, index), !connections[index].wantsWrite { sendEarly(index) }
    guard fits(count, within: bytesMax, index) else {
      connections[index].hasRefusedOffers = true
      return false
    }
    return true
  }

  /// An empty queue takes any message: it is within `max-message`.
  private func fits(_ count: Int, within bytesMax: Int, _ index: UInt32) -> Bool {
    // What it has asked for takes no room from what others send.
    let waiting = connections[index].outbox.unsolicitedBytes
    return waiting == 0 || waiting + count + SendQueues.frameHeadBytesMax <= bytesMax
  }

  // MARK: Space

  /// Reports to the hub that a queue has space again, if anything waits for that.
  @inline(__always)
  func reportSpace(_ index: UInt32) {
    if connections[index].hasRefusedOffers { reportOffers(index) }
    if connections[index].awaitsRoom { reportRoom(index) }
  }

  /// A connection that has refused something takes more again when three quarters of its queue are free.
  private func reportOffers(_ index: UInt32) {
    guard connections[index].outbox.unsolicitedBytes <= queueBytesMax / 4, connections[index].isOpen else { return }
    connections[index].hasRefusedOffers = false
    forEachSession(of: index) { hub.canTakeMore($0) }
  }

  private func reportRoom(_ index: UInt32) {
    guard hasRoom(index) else { return }
    connections[index].awaitsRoom = false
    input.resume(index, .queue)
    if connections[index].isOpen { forEachSession(of: index) { hub.hasRoom($0) } }
  }
}
