import ClientProtocol
import JSONCore

/// Slow readers in rooms that spare them.
///
/// A connection that takes no more leaves the rosters of these rooms. Each of the rooms keeps its newest messages, or the
/// newest of each key, for all its slow readers, and gives them to each as soon as its socket takes them.
/// Confined to the loop that created its hub.
final class SlowConsumers {
  private let context: HubContext
  private let batches: BatchQueue
  /// Bytes that rooms keep for their slow readers.
  private(set) var lagBytes = 0

  init(_ context: HubContext, batches: BatchQueue) {
    self.context = context
    self.batches = batches
  }

  /// Notes that a connection's socket takes no more for now, while something is queued for it.
  func becameUnwritable(_ id: SlabID) {
    guard context.sessions.contains(id), !context.sessions[id.index].isUnwritable else { return }
    context.sessions[id.index].isUnwritable = true
    for index in context.sessions[id.index].subscriptions.indices { beginLagging(id.index, index) }
  }

  /// Notes that all that was queued for a connection is sent: it gets what its rooms have kept for it, until its socket
  /// takes no more again.
  func becameWritable(_ id: SlabID) {
    guard context.sessions.contains(id), context.sessions[id.index].isUnwritable else { return }
    context.sessions[id.index].isUnwritable = false
    for index in context.sessions[id.index].subscriptions.indices where !context.sessions[id.index].isUnwritable {
      deliverLag(id.index, index)
    }
  }

  /// Takes a member out of the roster, when its room spares slow readers.
  func beginLagging(_ session: UInt32, _ index: Int) {
    let subscription = context.sessions[session].subscriptions[index]
    let room = subscription.room
    guard room.rule.sparesSlowReaders, !subscription.isLagging, let place = subscription.place else { return }
    context.removeFromRoster(room, format: context.sessions[session].format, place: place)
    let lag = room.lag ?? RoomLag()
    room.lag = lag
    lag.members.append(
      RoomLag.Member(session: session, next: lag.buffer.nextSequence, offset: room.deliveredOffset))
    context.sessions[session].subscriptions[index].place = UInt32(lag.members.count - 1)
    context.sessions[session].subscriptions[index].isLagging = true
  }

  /// Takes a member out of the lagging members; fills the hole with the last of them.
  func removeFromLag(_ room: Room, place: UInt32) {
    guard let lag = room.lag else { return }
    let last = lag.members.removeLast()
    if Int(place) < lag.members.count {
      lag.members[Int(place)] = last
      if let index = context.sessions[last.session].subscriptionIndex(room) {
        context.sessions[last.session].subscriptions[index].place = place
      }
    }
    guard lag.members.isEmpty else { return }
    lagBytes -= lag.buffer.byteCount
    room.lag = nil
  }

  /// Keeps a batch for the lagging members, within the room's limit and the node's.
  func keepForLag(_ batch: RoomBatch, _ lag: RoomLag, _ rule: RoomRule) {
    let before = lag.buffer.byteCount
    var start = 0
    for entry in batch.entries {
      defer { start = entry.end }
      guard !entry.isEphemeral else { continue }
      let payload = Array(batch.bytes[start..<entry.end])
      let isConflated = rule.slow == .latest && entry.offset > 0
      lag.buffer.append(
        entry.kind, offset: entry.offset, origin: entry.origin,
        key: isConflated ? ConflationKey.value(of: rule.key, in: payload.span, entry.kind) : nil, payload: payload)
    }
    lag.buffer.trim(to: rule.lagBytesMax)
    let others = lagBytes - before
    lag.buffer.trim(to: max(0, Limits.lagBytesMax - others))
    lagBytes = others + lag.buffer.byteCount
  }

  /// Forgets what was kept of an epoch that is over.
  func beginLagEpoch(_ room: Room, at offset: UInt64, isWhole: Bool) {
    guard let lag = room.lag else { return }
    lagBytes -= lag.buffer.byteCount
    lag.begin(at: offset, isWhole: isWhole)
    lagBytes += lag.buffer.byteCount
  }

  /// Lets a member that joins again start where the room is. Nothing that was kept for it may follow the answer.
  func skipLag(_ session: UInt32, _ index: Int, isResuming: Bool) {
    let subscription = context.sessions[session].subscriptions[index]
    guard subscription.isLagging, let place = subscription.place, let lag = subscription.room.lag else { return }
    let offset = subscription.room.deliveredOffset
    let missed = lag.members[Int(place)].offset
    if !isResuming, offset > missed {
      context.counters.slowDropped += offset - missed
      let lost = (missed + 1)...offset
      context.answer(context.sessions.id(at: session), .gap(roomJSON: subscription.room.nameJSON, lost: lost))
    }
    lag.members[Int(place)].next = lag.buffer.nextSequence
    lag.members[Int(place)].offset = offset
    lag.members[Int(place)].isOfEarlierEpoch = false
  }

  private func deliverLag(_ session: UInt32, _ index: Int) {
    let subscription = context.sessions[session].subscriptions[index]
    let room = subscription.room
    guard subscription.isLagging, let place = subscription.place, let lag = room.lag, let stream = room.stream else {
      return
    }
    // Compressing for one reader would take the processor's time from the others; RFC 7692 section 6.1 allows plain
    // messages at any time.
    let format = context.sessions[session].format == .webSocketDeflated ? .webSocket : context.sessions[session].format
    let roster = [RosterEntry(connection: context.sessions[session].connection, session: session)]
    while lag.members[Int(place)].next < lag.buffer.nextSequence, !context.sessions[session].isUnwritable {
      let batch = batches.takeSpare()
      fill(batch, for: &lag.members[Int(place)], room, lag, stream.position.epoch)
      if !batch.isEmpty {
        context.transports[format]?.deliver(batch, of: room.name, to: roster, format: format, sparing: true)
      }
      batches.recycle(batch)
    }
    guard !context.sessions[session].isUnwritable else { return }
    removeFromLag(room, place: place)
    context.sessions[session].subscriptions[index].isLagging = false
    context.sessions[session].subscriptions[index].place = context.addToRoster(room, session)
  }

  /// Fills a batch with what comes next for a member, and moves the member on.
  private func fill(_ batch: RoomBatch, for member: inout RoomLag.Member, _ room: Room, _ lag: RoomLag, _ epoch: Epoch)
  {
    batch.epoch = epoch
    let buffer = lag.buffer
    if member.next < buffer.keptFrom { appendLoss(to: batch, for: &member, room, lag, epoch) }
    for entry in buffer.entries(from: member.next) {
      member.next = entry.sequence + 1
      guard !entry.isReplaced else { continue }
      if entry.offset > 0 {
        if room.rule.slow == .latest, entry.offset > member.offset {
          context.counters.slowConflated += entry.offset - member.offset - 1
        }
        member.offset = entry.offset
      }
      if entry.origin == context.sessions.id(at: member.session) { continue }
      // No time of acceptance: how long this reader let it wait is not the node's delay.
      batch.append(entry.kind, offset: entry.offset, origin: nil, acceptedAt: 0) {
        $0.append(contentsOf: entry.payload)
      }
      if member.next > lag.epochSequence { member.isOfEarlierEpoch = false }
      if batch.bytes.count >= Limits.batchBytesMax { return }
    }
    member.next = buffer.nextSequence
    member.isOfEarlierEpoch = false
  }

  /// Announces what a member will never get: messages, or that an epoch has begun.
  private func appendLoss(
    to batch: RoomBatch, for member: inout RoomLag.Member, _ room: Room, _ lag: RoomLag, _ epoch: Epoch
  ) {
    let through = lag.buffer.droppedThrough
    if member.isOfEarlierEpoch {
      let position = Position(epoch: epoch, offset: max(member.offset, through))
      batch.append(
        .joined(roomJSON: room.nameJSON, position, userCount: context.userCount(of: room), recovered: false))
    } else if through > member.offset {
      context.counters.slowDropped += through - member.offset
      batch.append(.gap(roomJSON: room.nameJSON, lost: (member.offset + 1)...through))
    }
    member.offset = max(member.offset, through)
    guard member.next < lag.buffer.noticesKeptFrom, room.rule.hasPresence else { return }
    batch.append(
      .presenceUpdate(
        roomJSON: room.nameJSON, userCount: context.userCount(of: room), joined: [], left: [], hasMore: true))
  }
}
