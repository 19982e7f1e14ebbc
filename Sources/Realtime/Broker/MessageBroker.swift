import ClientProtocol

/// A message on its way into a room.
public struct RoomMessage {
  /// The room's name, valid by `RoomName`.
  public var room: [UInt8]
  /// The encoded `Envelope`, which every node of the room receives.
  public var envelope: [UInt8]
  /// What makes a retry recognisable: published once per room within `Limits.dedupeMilliseconds`. Nil: always published.
  public var dedupe: [UInt8]?
  /// What its room keeps of it; nil: what the node keeps by default.
  public var retention: Retention?

  public init(room: [UInt8], envelope: [UInt8], dedupe: [UInt8]?, retention: Retention? = nil) {
    self.room = room
    self.envelope = envelope
    self.dedupe = dedupe
    self.retention = retention
  }
}

/// Which part of a room's history is asked for.
public enum HistoryQuery: Hashable, Sendable {
  /// The entries with an offset above the given one, oldest first, at most `limit`.
  case after(UInt64, limit: Int)
  /// The newest `limit` entries, oldest first.
  case newest(limit: Int)
}

/// How far a node knows a room's stream.
public struct StreamEnd: Equatable, Sendable {
  /// The last message, or where the room stood when it was entered.
  public var position: Position
  /// The time stamp of the message at `position`; 0 when it was not received.
  public var timestamp: UInt64

  public init(position: Position, timestamp: UInt64) {
    self.position = position
    self.timestamp = timestamp
  }
}

/// Whom a message outside of rooms is for.
public enum Audience: Equatable, Sendable {
  /// Every connection of one user, on any node.
  case user([UInt8])
  /// Every connection of the cluster.
  case everyone
}

/// The messages of a broker: publishing, subscriptions, positions, history.
public protocol MessageBroker: AnyObject {
  /// Gives a message its offset, keeps it in the room's history and sends it to every subscribed node, in one step.
  /// A retry within the dedupe time answers with the first position and publishes nothing. A message with a `dedupe` that
  /// gets no answer is tried again within a bounded time; without one the answer is `uncertain`.
  func publish(_ message: RoomMessage, _ reply: @escaping BrokerReply<Position>)
  /// Sends an encoded `Envelope` of the kind `ephemeral` to every node that is subscribed to a room now. It gets no offset
  /// and is kept nowhere: what a node misses is lost. Answers when it was sent.
  func publish(ephemeral envelope: [UInt8], in room: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Subscribes this node to a room. Answers once nothing published from now on can be missed.
  func subscribe(room: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Unsubscribes this node from a room.
  func unsubscribe(room: [UInt8])
  /// Subscribes this node to the messages of every room whose name begins with `prefix`, notices excepted. A message of a
  /// room that is subscribed as well may come twice. Answers once nothing published from now on can be missed, or
  /// `unsupported`.
  func subscribe(prefix: [UInt8], _ reply: @escaping BrokerReply<Void>)
  /// Unsubscribes from the rooms of a prefix, except for those that are subscribed by name or by another prefix.
  func unsubscribe(prefix: [UInt8])
  /// Reads the position of a room, and writes nothing. A room that nobody stays in and nobody has published in is at offset 0
  /// of an epoch that is never used again: the next call returns another one.
  func position(room: [UInt8], _ reply: @escaping BrokerReply<Position>)
  /// Reads the position of a room for somebody who stays there without being a member: a room nobody has published in is at
  /// offset 0 of an epoch that later publishes keep, until some time after `unsubscribe`.
  func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>)
  /// Reads the position of a room, and verifies what a node knows of its stream: a Redis that was replaced by its replica, or
  /// restarted from a file, may have lost the last messages and given their offsets to others. Then the room begins a new
  /// epoch.
  func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>)
  /// Reads a piece of a room's history: from its oldest message on as many as `bytesMax` bytes hold, and one at least.
  func history(
    room: [UInt8], _ query: HistoryQuery, bytesMax: Int, _ reply: @escaping BrokerReply<HistoryPage>)
  /// Sends an encoded `Envelope` outside of rooms, without history. Answers with the number of connections it is for,
  /// dead nodes' connections not counted (for everyone: 0, nobody counts). A retry with the same `dedupe` within the
  /// dedupe time sends nothing and answers with the first number; nil: always sent.
  func send(_ envelope: [UInt8], to audience: Audience, dedupe: [UInt8]?, _ reply: @escaping BrokerReply<Int>)
  /// Finds out where the first delivery of an incoming hook with an id was published, whichever node took it; nil: this is
  /// the first one. With a position, remembers it if there is none yet: for `Limits.hookDeliveryMilliseconds`, and at most
  /// twice `Limits.hookDeliveriesMax` of a hook.
  func delivery(
    _ id: [UInt8], of hook: [UInt8], at position: Position?, _ reply: @escaping BrokerReply<Position?>)
}

extension MessageBroker {
  /// Reads a page of the usual size.
  public func history(room: [UInt8], _ query: HistoryQuery, _ reply: @escaping BrokerReply<HistoryPage>) {
    history(room: room, query, bytesMax: Limits.historyPageBytesMax, reply)
  }

  /// Sends without looking for a retry.
  public func send(_ envelope: [UInt8], to audience: Audience, _ reply: @escaping BrokerReply<Int>) {
    send(envelope, to: audience, dedupe: nil, reply)
  }

  /// Where a room exists as long as it is subscribed to, beginning is reading.
  public func begin(room: [UInt8], _ reply: @escaping BrokerReply<Position>) { position(room: room, reply) }

  /// A broker that never loses what it has acknowledged needs no comparison.
  public func compare(room: [UInt8], with known: StreamEnd, _ reply: @escaping BrokerReply<Position>) {
    position(room: room, reply)
  }
}
