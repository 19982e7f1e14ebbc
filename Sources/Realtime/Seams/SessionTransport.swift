import ClientProtocol

/// The shape in which a connection receives a room's messages. Members of one format share one encoding.
public enum WireFormat: UInt8, CaseIterable, Sendable {
  /// WebSocket frames.
  case webSocket
  /// WebSocket frames compressed by permessage-deflate (RFC 7692).
  case webSocketDeflated
  /// Server-Sent Events.
  case eventStream
  /// Long polling.
  case poll
  /// Packets of Socket.IO, over WebSockets or polls.
  case socketIO
}

/// A member of a room on this node: where its bytes go, and whose they are.
public struct RosterEntry: Sendable {
  /// The connection, in the numbering of its transport.
  public let connection: UInt32
  /// The session's place in the hub's slab.
  public let session: UInt32
}

/// How much of what may wait for a connection a message outside of rooms may fill.
public enum Allotment: Sendable {
  /// Of clients: a half, so that strangers leave the other half to the rooms that were joined.
  case clients
  /// Of backends and operators: all.
  case operators
}

/// The transports of a node, by wire format. Not owned.
public struct Transports {
  private struct Entry { weak var transport: (any SessionTransport)? }

  private var entries = [Entry](repeating: Entry(), count: WireFormat.allCases.count)

  public init() {}

  public subscript(format: WireFormat) -> (any SessionTransport)? {
    get { entries[Int(format.rawValue)].transport }
    set { entries[Int(format.rawValue)].transport = newValue }
  }
}

/// Connections of many sessions, by wire format.
struct ConnectionsByFormat {
  private var connections = [[UInt32]](repeating: [], count: WireFormat.allCases.count)

  subscript(format: WireFormat) -> [UInt32] {
    get { connections[Int(format.rawValue)] }
    _modify { yield &connections[Int(format.rawValue)] }
  }
}

/// Writes to the connections of one wire format, or of several: the hub decides what, its transports do it.
///
/// Nothing is sent before the end of the tick, so every call may be made from inside any other.
public protocol SessionTransport: AnyObject {
  /// Gives a room's batch to every member of one format. Entries whose `origin` is the member's own session are left out.
  ///
  /// `sparing`: for a member whose socket takes no more, `Hub.becameUnwritable` is called before this returns; it is not closed.
  func deliver(_ batch: RoomBatch, of room: [UInt8], to roster: [RosterEntry], format: WireFormat, sparing: Bool)
  /// Notes that a connection now stands in so many more rosters. A connection in one roster only gets no second batch in a
  /// tick, so that its batch need not wait for the tick's end.
  func rostersChanged(of connection: UInt32, by change: Int32)
  /// Gives one message that others cause to one connection, after everything it was given before.
  func send(_ message: Span<UInt8>, _ kind: EventKind, to connection: UInt32)
  /// Gives one message that nobody has asked for to many connections, after everything they were given before, encoded
  /// once for all of them. Returns those for which more waits than the allotment: each of them gets nothing, stays open,
  /// and `Hub.canTakeMore` is called as soon as it takes more.
  func offer(_ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach connections: [UInt32])
    -> [UInt32]
  /// Gives the same message to many connections, after everything they were given before: encoded once for all of them.
  func send(_ message: Span<UInt8>, _ kind: EventKind, toEach connections: [UInt32])
  /// Gives one message that the connection itself has asked for: it never counts against the queue's limit. A connection
  /// that does not take its answers is read no further instead. `position`: where a client that has received it resumes; nil: where it would have resumed before.
  func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to connection: UInt32)
  /// The same with the name of the room, or of the wildcard, that it is about; nil: of none. For transports whose clients
  /// resume several rooms by one id.
  func answer(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, to connection: UInt32)
  /// Whether a connection's queue is short enough for more of what can wait, such as pages of history.
  func hasRoom(_ connection: UInt32) -> Bool
  /// Calls `Hub.hasRoom` once when a connection's queue, which has no room now, has room again. Not inside this call.
  func awaitRoom(_ connection: UInt32)
  /// Whether a connection's queue has come near to the limit at which it is closed.
  func isNearLimit(_ connection: UInt32) -> Bool
  /// Bytes that wait in a connection's queue.
  func queuedBytes(of connection: UInt32) -> Int
  /// Reads no more from a connection whose queue has no room, until it has: what it sends comes back to it.
  func pauseUntilRoom(_ connection: UInt32)
  /// Reads no more from a connection: its sender is faster than the broker. What was read and not yet understood waits.
  func pauseReading(_ connection: UInt32)
  /// Reads again, not inside this call.
  func resumeReading(_ connection: UInt32)
  /// Closes a connection after what it was given. The session's end comes back as `Hub.close`, not inside this call.
  func close(_ connection: UInt32, because reason: CloseReason)
}

/// For deliveries whose connections take everything at once.
extension SessionTransport {
  public func send(_ message: Span<UInt8>, _ kind: EventKind, toEach connections: [UInt32]) {
    for connection in connections { send(message, kind, to: connection) }
  }
  public func offer(
    _ message: Span<UInt8>, _ kind: EventKind, _ allotment: Allotment, toEach connections: [UInt32]
  ) -> [UInt32] {
    send(message, kind, toEach: connections)
    return []
  }
  public func answer(_ message: Span<UInt8>, _ kind: EventKind, at position: Position?, to connection: UInt32) {
    send(message, kind, to: connection)
  }
  public func answer(
    _ message: Span<UInt8>, _ kind: EventKind, at position: Position?, in room: [UInt8]?, to connection: UInt32
  ) {
    answer(message, kind, at: position, to: connection)
  }
  public func hasRoom(_ connection: UInt32) -> Bool { true }
  public func awaitRoom(_ connection: UInt32) {}
  public func isNearLimit(_ connection: UInt32) -> Bool { false }
  public func queuedBytes(of connection: UInt32) -> Int { 0 }
  public func pauseUntilRoom(_ connection: UInt32) {}
}
