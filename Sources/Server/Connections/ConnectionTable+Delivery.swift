import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import WebSocketCore

// The fan-out. Each batch is framed once per form; a member costs one send and nothing else.

extension ConnectionTable: Delivery {
  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], form: DeliveryForm, sparing: Bool) {
    let framed = framings.frames(of: batch, form, compression)
    let block = framed.block
    if batch.hasOrigins { origins.fill(from: batch) }
    // A member with an empty queue gets it by a send of its own, if nothing else of this tick can be for it. With several
    // rooms in the tick, a member of more than one gets all of its blocks in one send at the end of the tick.
    let isAlone = hub.isDeliveringAlone
    let isBacklog = batch.isBacklog
    // Who is found full by this fan-out is not to be mixed with those of one before.
    if sparing { submitSends() }
    stuck.removeAll(keepingCapacity: true)
    var posted: PostedBlock?
    for member in roster {
      // A connection may have begun to close in this very fan-out, as a slow consumer: nothing follows its close frame.
      guard connections.isOccupied(member.target), connections[member.target].stage == .websocket else { continue }
      settle(member.target)
      if batch.hasOrigins, origins.contains(member.session) {
        let rest = framed.without(origins.entries(of: member.session))
        if !rest.isEmpty { queue(rest, for: member.target, sparing: sparing, isBacklog: isBacklog) }
      } else if isAlone || connections[member.target].rosterCount == 1, connections[member.target].outbox.isEmpty {
        if !postpone(block, &posted, to: member.target) { sendNow(block, to: member.target) }
      } else {
        queue(block, for: member.target, sparing: sparing, isBacklog: isBacklog)
      }
    }
    if batch.hasOrigins { origins.empty(of: batch) }
    if sparing || !isTickEnding { submitSends() }
    if sparing { tellWhoIsBehind() }
    count(batch, members: roster.count)
  }

  private func sendNow(_ block: [UInt8], to index: UInt32) {
    let socket = connections[index].socket
    let tls = connections[index].tls
    // Safe because the bytes are only read during the call.
    note(block.withUnsafeBytes { tls?.send($0) ?? Socket.send(socket, $0) }, of: block, to: index)
  }

  /// Notes what came of sending a block to a member with an empty queue.
  func note(_ transfer: Transfer, of block: [UInt8], to index: UInt32) {
    switch transfer {
    case .bytes(let sent):
      metrics.bytesSent += UInt64(sent)
      guard sent < block.count else { return }
      connections[index].outbox.push(block, sent: sent)
      markDirty(index)
      stuck.append(index)
    case .wouldBlock:
      connections[index].outbox.push(block)
      markDirty(index)
      stuck.append(index)
    case .end, .failed: failed.append(connections.id(at: index))
    }
  }

  private func queue(_ block: [UInt8], for index: UInt32, sparing: Bool, isBacklog: Bool) {
    settle(index)
    connections[index].outbox.push(block)
    markDirty(index)
    if isBacklog { return connections[index].outbox.noteSolicited(block.count) }
    // Whoever is in the roster although the hub knows it to be behind is not spared here.
    if sparing, !connections[index].isBehind { relieve(index) } else { limitQueue(index) }
  }

  private func count(_ batch: RoomBatch, members: Int) {
    metrics.messagesDelivered += UInt64(members * batch.entries.count)
    let now = Clock.wallMilliseconds()
    for entry in batch.entries where entry.acceptedAt > 0 {
      metrics.deliverySeconds.observe(milliseconds: now > entry.acceptedAt ? now - entry.acceptedAt : 0)
    }
  }

  func rostersChanged(of target: UInt32, by change: Int32) {
    if connections.isOccupied(target) { connections[target].rosterCount += change }
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    guard connections.isOccupied(target), connections[target].stage == .websocket else { return }
    appendMessage(kind.opcode, message, to: target)
    limitQueue(target)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    var frames = SharedFrames(kind.opcode)
    for target in targets where connections.isOccupied(target) && connections[target].stage == .websocket {
      settle(target)
      connections[target].outbox.push(frames.block(message, windowBits: connections[target].deflateBits, compression))
      markDirty(target)
      limitQueue(target)
    }
  }

  func close(_ target: UInt32, because reason: CloseReason) {
    guard connections.isOccupied(target) else { return }
    guard connections[target].stage == .websocket || connections[target].stage == .echo else { return }
    let code = CloseCode(rawValue: reason.code)
    traceEnd(target, "closing a connection", code, trace == nil ? "" : "\(reason.text)")
    endSession(target)
    append(to: target) { FrameWriter.appendClose(code, reason: reason.text, to: &$0) }
    enter(.closing, target)
  }
}
