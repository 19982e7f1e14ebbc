import ClientProtocol
import Realtime

/// What was heard with the master tag of no master that this node knows: of one that was replaced, or of one that it does not
/// know yet. It waits until the node has asked for the map again. Pure.
struct UnverifiedMessages {
  struct Message {
    let room: [UInt8]
    let position: Position
    /// With its master tag.
    let envelope: [UInt8]
  }

  /// The rooms in which it was heard: what comes after it waits behind it.
  private(set) var rooms: Set<[UInt8]> = []
  /// In the order in which they came.
  private(set) var messages: [Message] = []
  private var byteCount = 0

  var isEmpty: Bool { rooms.isEmpty }

  func contain(_ room: Span<UInt8>) -> Bool { !isEmpty && rooms.contains([UInt8](copying: room)) }

  /// Keeps a message. One that does not fit any more is read from history with what follows.
  mutating func keep(_ room: [UInt8], _ position: Position, _ envelope: Span<UInt8>) {
    rooms.insert(room)
    guard byteCount + envelope.count <= RedisLimits.unverifiedBytesMax else { return }
    byteCount += envelope.count + RedisLimits.retryOverheadBytes
    messages.append(Message(room: room, position: position, envelope: [UInt8](copying: envelope)))
  }

  /// Notes that something was heard in a room that is not kept.
  mutating func note(_ room: [UInt8]) { rooms.insert(room) }
}
