import ClientProtocol
import JSONCore

/// Messages outside of rooms, direct and broadcast, and what becomes of those that a connection cannot take.
///
/// Nobody has joined anything to get them, so they never close a connection: they are dropped and counted.
/// Confined to the loop that created its hub.
final class PersonalMessages {
  private let context: HubContext
  private let revocations: Revocations
  private var droppedMessages = DroppedMessages()
  /// Does what an operator ordered, and returns for how many connections here. The hub sets it.
  var obey: (AdminOrder) -> Int = { _ in 0 }

  init(_ context: HubContext, revocations: Revocations) {
    self.context = context
    self.revocations = revocations
  }

  func received(user name: Span<UInt8>, envelope bytes: Span<UInt8>) -> Int {
    guard let user = context.users.find(name), let envelope = Envelope(bytes) else { return 0 }
    if envelope.kind == .disconnect {
      applyDisconnect(bytes.extracting(envelope.body))
      return user.sessions.count
    }
    if envelope.kind == .order { return AdminOrder(bytes.extracting(envelope.body)).map(obey) ?? 0 }
    var receivers: [UInt32] = []
    user.sessions.forEach { receivers.append($0) }
    return deliver(envelope, bytes, toEach: receivers)
  }

  func receivedByEveryone(envelope bytes: Span<UInt8>) {
    guard let envelope = Envelope(bytes) else { return }
    if envelope.kind == .disconnect { return applyDisconnect(bytes.extracting(envelope.body)) }
    if envelope.kind == .order {
      if let order = AdminOrder(bytes.extracting(envelope.body)) { _ = obey(order) }
      return
    }
    if envelope.kind == .revoke { return revocations.applyRevocation(bytes.extracting(envelope.body)) }
    let origin = context.localSession(named: bytes.extracting(envelope.origin))
    // A session that has not authenticated yet gets nothing from others.
    let receivers = (0..<context.sessions.end).filter {
      context.sessions.isOccupied($0) && $0 != origin?.index && context.sessions[$0].user != nil
    }
    deliver(envelope, bytes, toEach: receivers)
  }

  /// Gives a message to the connections of many sessions. Returns to how many it was given.
  @discardableResult
  private func deliver(_ envelope: Envelope, _ bytes: Span<UInt8>, toEach receivers: [UInt32]) -> Int {
    let start = envelope.trace.isEmpty ? 0 : context.tracer?.now ?? 0
    var text: [UInt8] = []
    MessageEncoder.personal(envelope, in: bytes, to: &text)
    let count = offer(text.span, envelope.eventKind, envelope.allotment(in: bytes), toEach: receivers)
    if start > 0 { context.recordDelivery(envelope.traceContext(in: bytes), from: start, connections: count) }
    return count
  }

  /// Closes what an administrator named: a user's connections, or one connection, as far as they are here.
  private func applyDisconnect(_ body: Span<UInt8>) {
    guard let order = try? JSONValue.parse(body) else { return }
    if let name = order["user"]?.asBytes, let user = context.users.find(name.span) {
      user.sessions.forEach { context.close(context.sessions.id(at: $0), because: .closedByAdmin) }
    }
    if let name = order["connection"]?.asBytes, let id = context.localSession(named: name.span) {
      context.close(id, because: .closedByAdmin)
    }
  }

  /// Gives a message outside of rooms to the connections of many sessions, encoded once. Returns to how many it was given.
  private func offer(_ text: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach receivers: [UInt32]) -> Int
  {
    var connections = ConnectionsByFormat()
    for session in receivers {
      connections[context.sessions[session].format].append(context.sessions[session].connection)
    }
    var refusedCount = 0
    for format in WireFormat.allCases where !connections[format].isEmpty {
      guard let refused = context.transports[format]?.offer(text, kind, allotment, toEach: connections[format]),
        !refused.isEmpty
      else { continue }
      let isRefused = Set(refused)
      for session in receivers
      where context.sessions[session].format == format && isRefused.contains(context.sessions[session].connection) {
        refusedCount += 1
        context.counters.slowDropped += 1
        droppedMessages.note(context.sessions.id(at: session))
      }
    }
    return receivers.count - refusedCount
  }

  /// Tells a connection how many messages outside of rooms it has missed. Called when it can take more after an offer to
  /// it was refused.
  func canTakeMore(_ id: SlabID) {
    guard let count = droppedMessages.take(id) else { return }
    context.answer(id, .directDropped(count: count))
  }

  /// Whether every session got what was for it, or knows how much it missed.
  var isComplete: Bool { droppedMessages.isEmpty }

  /// Forgets a session that has ended.
  func forget(_ id: SlabID) { _ = droppedMessages.take(id) }
}

extension Envelope {
  /// What its receivers get, of a message outside of rooms.
  var eventKind: EventKind { kind == .direct ? .direct : .broadcast }

  /// How much of a connection's queue a message outside of rooms may fill. What has no sending connection is the operator's.
  func allotment(in bytes: Span<UInt8>) -> Allotment {
    origin.count == 1 && bytes[origin.lowerBound] == UInt8(ascii: "-") ? .operators : .clients
  }
}
