import ClientProtocol
import Realtime

/// Messages with the tag of no master that this node knows: of one that was replaced, or of one that it does not know yet.
/// They wait until the node has read the map again. Pure.
struct UnverifiedMessages {
  struct Message {
    let room: [UInt8]
    let position: Position
    /// With its master tag.
    let envelope: [UInt8]
  }

  /// The rooms of the messages: later messages of them wait too.
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

  /// Notes a room of which something came that is not kept.
  mutating func note(_ room: [UInt8]) { rooms.insert(room) }
}
