import ClientProtocol

/// Chooses rooms by their name.
public typealias RoomFilter = (_ room: [UInt8]) -> Bool

/// Receives what a broker brings. Called on the loop's thread; the spans are valid during the call only.
public protocol BrokerListener: AnyObject {
  /// A message of a room, in the order of the room's channel. Positions may skip or repeat after a fault.
  func received(room: Span<UInt8>, at position: Position, envelope: Span<UInt8>)
  /// A notice of a room, which has no offset: `userJoined`, `userLeft`, `userLeaving`, `userState`, `ephemeral`.
  func received(room: Span<UInt8>, notice: Span<UInt8>)
  /// A message sent to one user. Returns the number of connections here that it was given to.
  @discardableResult
  func received(user: Span<UInt8>, envelope: Span<UInt8>) -> Int
  /// A message sent to everyone.
  func receivedByEveryone(envelope: Span<UInt8>)

  /// A question of another node, or of this one. `answer` is called once, at once or later; of several answers the first
  /// counts. Without one the node that asks waits until its time is over.
  func received(question: Span<UInt8>, from node: [UInt8], _ answer: @escaping ([UInt8]) -> Void)

  /// The broker went out of reach. Called once per outage.
  func brokerLost()
  /// The subscriptions of the rooms that `isAffected` chooses (nil: of all) are gone: nothing of them arrives until
  /// `brokerRestored` names them.
  func subscriptionsLost(where isAffected: RoomFilter?)
  /// The subscriptions of the rooms that `isAffected` chooses (nil: of all) are active again: time to compare their
  /// positions. Called after every outage, and whenever subscriptions had to be renewed.
  func brokerRestored(where isAffected: RoomFilter?)
  /// The positions of the rooms that `isAffected` chooses (nil: all) may be wrong: messages of them were dropped, or another
  /// master has taken over. Time to compare their positions, before anything is published in them.
  func roomsUnverified(where isAffected: RoomFilter?)
  /// The broker has taken out connections of a node that is gone, whose users have a grace: time to ask for its end.
  func graceBegan(in room: [UInt8], milliseconds: Int)
  /// The broker has forgotten who is connected here (restarted empty, or took this node for dead): assert every
  /// connection, member and state again.
  func presenceLost()
  /// Whether a connection of this node exists, and is in the room if one is given. The broker removes what it holds of
  /// others: it missed that they left.
  func isHere(_ connection: Span<UInt8>, in room: [UInt8]?) -> Bool
  /// Makes the node's report for its lease: one JSON object.
  func nodeReport() -> [UInt8]
}
