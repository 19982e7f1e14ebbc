import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import SocketIOCore
import WebSocketCore

// What the hub gives to sockets.

extension SocketIOTransport: SessionTransport {
  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool) {
    var fanOut = SocketIOFanOut(
      batch, room, sparing: sparing, isAlone: hub.isDeliveringAlone, hasOffsets: hasRecovery)
    if batch.hasOrigins { origins.fill(from: batch) }
    queues.beginFanOut(sparing: sparing)
    for member in roster where sockets.isOccupied(member.connection) {
      let target = sockets[member.connection].direct
      guard target != .max, !batch.hasOrigins || !origins.contains(member.session) else {
        deliver(&fanOut, to: member)
        continue
      }
      if let rooms = sockets[member.connection].rooms {
        deliverOwn(&fanOut, rooms, member.connection, target)
      } else {
        deliver(fanOut.frames, &fanOut.posted, fanOut.pace, to: target)
      }
    }
    if batch.hasOrigins { origins.empty(of: batch) }
    queues.endFanOut(sparing: sparing)
    metrics.count(batch, members: roster.count)
    for socket in fanOut.unwritable { if let session = sockets[socket].session { hub.becameUnwritable(session) } }
  }

  /// Gives a WebSocket frames that others share.
  @inline(__always)
  private func deliver(
    _ frames: [UInt8], _ posted: inout SendQueues.PostedBlock?, _ pace: SocketIOFanOut.Pace, to target: UInt32
  ) {
    guard connections.isOccupied(target), connections[target].stage == .engine else { return }
    if connections[target].isSending { queues.settle(target) }
    if connections[target].way(isAlone: pace.isAlone) == .direct {
      queues.sendDirectly(frames, &posted, to: target)
    } else {
      connections[target].outbox.push(frames)
      queues.markDirty(target)
      noteQueued(frames.count, for: target, pace)
    }
  }

  /// Gives a WebSocket of a member of several rooms the frames that those share who are in the same ones.
  @inline(__always)
  private func deliverOwn(_ fanOut: inout SocketIOFanOut, _ rooms: SocketRooms, _ socket: UInt32, _ target: UInt32) {
    guard sockets[socket].namespace == fanOut.namespace else {
      let block = fanOut.makeOwn(for: rooms, .frames, namespace: sockets[socket].namespace, without: [])
      sockets[socket].rooms = block.after
      var posted: SendQueues.PostedBlock?
      return deliver(block.bytes, &posted, fanOut.pace, to: target)
    }
    let block = fanOut.own(for: rooms, .frames)
    sockets[socket].rooms = block.after
    // What lies in the ring is of the block before, unless both are one.
    var posted = fanOut.ownPosted?.before === block.before ? fanOut.ownPosted?.posted : nil
    deliver(block.bytes, &posted, fanOut.pace, to: target)
    fanOut.ownPosted = (block.before, posted)
  }

  /// Holds a WebSocket to the limit of its queue after a fan-out has queued so many bytes for it.
  private func noteQueued(_ count: Int, for target: UInt32, _ pace: SocketIOFanOut.Pace) {
    if pace.isBacklog { return connections[target].outbox.noteSolicited(count) }
    if pace.sparing, !connections[target].isUnwritable {
      if connections[target].outbox.byteCount > EngineLimits.roomBytes { queues.sendEarly(target) }
    } else if connections[target].outbox.unsolicitedBytes > queueBytesMax {
      metrics.slowConsumers += 1
      sessions.closeSlow(target, because: .slowConsumer)
    }
  }

  /// Gives a member what it does not share with all: it polls, is not connected yet, or has sent a part itself.
  private func deliver(_ fanOut: inout SocketIOFanOut, to member: RosterEntry) {
    let socket = member.connection
    guard !sockets[socket].hasEnded, engines.store.contains(sockets[socket].engine) else { return }
    let engine = sockets[socket].engine.index
    var skipped: Set<Int> = []
    if fanOut.batch.hasOrigins, origins.contains(member.session) { skipped = Set(origins.entries(of: member.session)) }
    let webSocket = sockets[socket].opening == nil ? engines.webSocket(of: engine) : nil
    let form = webSocket == nil ? SocketIOFanOut.Form.payload : .frames
    let bytes: [UInt8]
    if let rooms = sockets[socket].rooms {
      let namespace = sockets[socket].namespace
      let isElsewhere = namespace != fanOut.namespace
      let block =
        isElsewhere || !skipped.isEmpty
        ? fanOut.makeOwn(for: rooms, form, namespace: isElsewhere ? namespace : nil, without: skipped)
        : fanOut.own(for: rooms, form)
      sockets[socket].rooms = block.after
      bytes = block.bytes
    } else if form == .frames {
      bytes = skipped.isEmpty ? fanOut.frames : fanOut.frames(without: skipped)
    } else {
      bytes = skipped.isEmpty ? fanOut.payload : fanOut.payload(without: skipped)
    }
    guard !bytes.isEmpty else { return }
    if let webSocket {
      queues.push(bytes, to: webSocket)
      noteQueued(bytes.count, for: webSocket, fanOut.pace)
    } else if let opening = sockets[socket].opening {
      hold(bytes, opening, engine)
    } else {
      pushPayload(bytes, &fanOut, socket, engine)
    }
  }

  private func pushPayload(_ payload: [UInt8], _ fanOut: inout SocketIOFanOut, _ socket: UInt32, _ engine: UInt32) {
    guard !payload.isEmpty, let polling = engines.store[engine].polling, !engines.store[engine].isClosing else {
      return
    }
    engines.push(payload: payload, to: engine, isSolicited: fanOut.pace.isBacklog)
    if fanOut.pace.isBacklog { return }
    guard fanOut.pace.sparing, !polling.isUnwritable else { return engines.limitQueue(engine) }
    guard polling.queue.unsolicitedBytes > min(EngineLimits.roomBytes, queueBytesMax / 2) else { return }
    polling.isUnwritable = true
    fanOut.unwritable += sockets.all(of: engine)
  }

  func rostersChanged(of target: UInt32, by change: Int32) {
    guard sockets.isOccupied(target) else { return }
    sockets[target].rosterCount += change
    let engine = sockets[target].engine
    guard engines.store.contains(engine), let webSocket = engines.store[engine.index].webSocket else { return }
    connections[webSocket].rosterCount += change
  }

  // MARK: One socket

  private func isOpen(_ target: UInt32) -> Bool { sockets.isOccupied(target) && !sockets[target].hasEnded }

  func send(_ message: Span<UInt8>, _ kind: EventKind, to target: UInt32) {
    if isOpen(target) { send(encode(message, kind, for: target), to: target) }
  }

  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to target: UInt32) {
    answer(message, kind, at: position, in: nil, to: target)
  }

  func answer(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, to target: UInt32
  ) {
    guard isOpen(target) else { return }
    if sockets[target].opening != nil, connects?.take(message, kind, at: position, in: room, for: target) == true {
      return
    }
    switch kind {
    case .welcome, .authSuccess: return
    case .joined: if let room { return tellJoined(message, room, at: position, to: target) }
    case .left: return tellLeft(message, to: target)
    default: break
    }
    send(encode(message, kind, for: target, at: position, in: room), to: target, isSolicited: true)
  }

  /// Tells a client that it has joined a room, with an offset: from now on its offsets name the room.
  private func tellJoined(_ message: Span<UInt8>, _ room: [UInt8], at position: Position?, to socket: UInt32) {
    noteJoined(socket, room, at: position)
    tell(message, .joined, to: socket, at: position)
  }

  private func tellLeft(_ message: Span<UInt8>, to socket: UInt32) {
    if let room = (try? JSONValue.parse(message))?["room"]?.asBytes { noteLeft(socket, room) }
    tell(message, .left, to: socket, at: nil)
  }

  func tell(_ message: Span<UInt8>, _ kind: EventKind, to socket: UInt32, at position: Position?) {
    var offset: [UInt8]?
    var text: [UInt8] = []
    if let rooms = sockets[socket].rooms {
      offset = rooms.offset
    } else if hasRecovery, let session = sockets[socket].session,
      let position = position ?? hub.position(of: session, in: sockets[socket].defaultRoom)
    {
      position.append(to: &text)
      offset = text
    }
    var packets = EncodedPackets()
    let namespace = sockets[socket].namespace
    PacketWriter.appendEvent(kind.wireName, argument: message, namespace: namespace.span, offset: offset, to: &packets)
    send(packets, to: socket, isSolicited: true)
  }

  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach targets: [UInt32]) {
    var shared = SharedPackets()
    for target in targets where isOpen(target) {
      push(shared.packets(for: sockets[target].namespace) { encode(message, kind, for: target) }, to: target)
    }
  }

  func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach targets: [UInt32]
  ) -> [UInt32] {
    let bytesMax = queueBytesMax / (allotment == .clients ? 2 : 1)
    var shared = SharedPackets()
    var refused: [UInt32] = []
    for target in targets {
      guard isOpen(target), engines.store.contains(sockets[target].engine),
        mayOffer(message.count, within: bytesMax, to: sockets[target].engine.index)
      else {
        refused.append(target)
        continue
      }
      push(shared.packets(for: sockets[target].namespace) { encode(message, kind, for: target) }, to: target)
    }
    return refused
  }

  private func mayOffer(_ count: Int, within bytesMax: Int, to engine: UInt32) -> Bool {
    if let webSocket = engines.webSocket(of: engine) { return queues.mayOffer(count, within: bytesMax, to: webSocket) }
    guard let polling = engines.store[engine].polling else { return false }
    let waiting = polling.queue.unsolicitedBytes
    guard waiting == 0 || waiting + count <= bytesMax else {
      polling.hasRefusedOffers = true
      return false
    }
    return true
  }

  /// Gives a socket packets that others share.
  private func push(_ shared: SharedPackets.Forms, to target: UInt32) {
    let engine = sockets[target].engine
    guard engines.store.contains(engine) else { return }
    if let opening = sockets[target].opening {
      hold(shared.payload, opening, engine.index)
    } else if let webSocket = engines.webSocket(of: engine.index) {
      queues.push(shared.frames, to: webSocket)
      engines.limitQueue(engine.index)
    } else {
      engines.push(payload: shared.payload, to: engine.index)
      engines.limitQueue(engine.index)
    }
  }

  // MARK: Pace

  func hasRoom(_ target: UInt32) -> Bool {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return true }
    if let opening = sockets[target].opening { return opening.heldBytes < EngineLimits.roomBytes }
    return engines.queuedBytes(sockets[target].engine.index) < EngineLimits.roomBytes
  }

  func awaitRoom(_ target: UInt32) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    if let opening = sockets[target].opening { return opening.awaitsRoom = true }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) {
      connections[webSocket].awaitsRoom = true
    } else {
      engines.store[engine].polling?.awaitsRoom = true
    }
  }

  func isNearLimit(_ target: UInt32) -> Bool {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return false }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) { queues.settle(webSocket) }
    return engines.queuedBytes(engine) > queueBytesMax / 2
  }

  func queuedBytes(of target: UInt32) -> Int {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return 0 }
    return engines.queuedBytes(sockets[target].engine.index)
  }

  func pauseUntilRoom(_ target: UInt32) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    let engine = sockets[target].engine.index
    if let webSocket = engines.webSocket(of: engine) {
      queues.pauseUntilRoom(webSocket)
    } else {
      engines.store[engine].polling?.isFull = true
    }
  }

  func pauseReading(_ target: UInt32) { if isOpen(target) { pause(target) } }
  func resumeReading(_ target: UInt32) { if sockets.isOccupied(target) { resume(target) } }

  // MARK: The end

  func close(_ target: UInt32, because reason: CloseReason) {
    guard isOpen(target), engines.store.contains(sockets[target].engine) else { return }
    if sockets[target].opening != nil, connects?.refuse(target, because: reason) == true { return }
    let engine = sockets[target].engine.index
    switch reason {
    case .notAuthenticated, .forbidden, .closedByAdmin:
      // After this packet the official client does not come back by itself.
      var packets = EncodedPackets()
      let namespace = sockets[target].namespace
      PacketWriter.appendDisconnect(namespace: namespace.span, to: &packets)
      send(packets, to: target, isSolicited: true)
      engines.store[engine].hasDismissed = true
      end(target)
    default: engines.close(engine, because: reason)
    }
  }
}
