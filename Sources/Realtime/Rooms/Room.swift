import ClientProtocol
import JSONCore

/// A room as this node sees it: its local members, its stream, and what this tick has gathered for it.
/// Confined to the loop that created its hub.
final class Room: Named {
  enum Phase {
    /// The subscription is being confirmed.
    case subscribing
    /// The node is subscribed, but where the stream stands is not known yet.
    case entering
    /// Messages are delivered as they come.
    case live(RoomStream)
    /// Messages are held until those that are missing have been read.
    case recovering(RoomStream)
  }

  /// A join that waits for its place in the stream.
  struct Arrival {
    let session: SlabID
    let id: [UInt8]?
    /// Where the room was when it was entered. The stream must have come this far, because the client may have seen
    /// acknowledgements up to here.
    let entered: Position
    let since: Position?
    /// When the client asked, in milliseconds of the clock that no one can set.
    let began: UInt64
    /// Whether history was read for it already: what is still missing then cannot be had.
    var hasRead = false
    /// The first page of what it missed, or nil.
    var page: HistoryPage?
  }

  /// A message held while the room is not live.
  struct Held {
    let position: Position
    let envelope: [UInt8]
  }

  let name: [UInt8]
  /// The name as a JSON string, quotes included, as it stands in every message.
  let nameJSON: [UInt8]
  let rule: RoomRule
  var phase = Phase.subscribing
  // Yes and no stand together: apart, each would take a word of every room.
  /// Whether the node is subscribed to its own channel, and not only through wildcards.
  var isSubscribed = false
  /// Whether it stands in the hub's list of rooms that only wildcards keep.
  var isWatchedForIdleness = false
  /// Whether it stands in the hub's list for the end of the tick.
  var isDirty = false
  /// Whether its interval runs: the next flush waits for the end of it.
  var isPaced = false
  /// Whether it is polled by clients without a session, who count as one subscription.
  var isPolled = false
  /// Whether subscriptions were renewed while the room was entering: the position it enters at may be old already.
  var mustCompare = false
  /// The wildcards of this node that matched its name at `wildcardsRevision`; `Hub.wildcards(of:)` brings it up to date.
  var wildcards: [Wildcard] = []
  /// The revision of the hub's wildcards at which `wildcards` was found.
  var wildcardsRevision: UInt32 = 0
  /// What the stream's epoch continues; nil while history was not read.
  var lineage: [EpochEnd]?
  /// How far the members were given the epochs before this one, the newest last: their masters may come back. An array is a
  /// word.
  private(set) var former: [Position] = []
  /// The time stamp of the stream's last message; 0 when that was not delivered here.
  var lastTimestamp: UInt64 = 0
  /// The highest offset of this epoch that was acknowledged to a publisher here, or given to somebody who entered: it may
  /// not have been received yet.
  private(set) var acknowledgedOffset: UInt64 = 0
  /// The last that was acknowledged in an epoch which the stream has not come to yet, or none. An array is a word.
  private var acknowledgedElsewhere: [Position] = []
  var rosters = Rosters()
  /// Subscriptions of local sessions, those that are still joining included. At zero the room lingers, then ends.
  var subscriberCount = 0
  /// What this tick has gathered, or nil.
  var batch: RoomBatch?
  /// The lagging members, or nil: there are none.
  var lag: RoomLag?
  var held: [Held] = []
  private var heldBytes: UInt32 = 0
  /// Counts recoveries: an answer to an earlier one comes too late.
  var recoveries: UInt32 = 0
  var arrivals: [Arrival] = []
  var recoveryCache: RecoveryCache?
  /// The members who are not where the room is yet.
  var catchUps = CatchUps()
  /// What is known of who is there; nil until it is needed.
  var presence: RoomPresence?
  /// What was announced of users one by one lately.
  var notices = NoticeWindow()
  /// Joins that came before the subscription stood.
  var joinsWaiting: [() -> Void] = []
  /// What may still be published here by way of this node; nil until it counts.
  var rateLimiter: PublishRateLimiter?

  init(name: [UInt8], rule: RoomRule = .standard) {
    self.name = name
    self.rule = rule
    var json: [UInt8] = []
    JSONString.append(name.span, to: &json)
    nameJSON = json
  }

  /// Where the room's messages stand, or nil: that is not known yet.
  var stream: RoomStream? {
    switch phase {
    case .subscribing, .entering: nil
    case .live(let stream), .recovering(let stream): stream
    }
  }

  var isLive: Bool { if case .live = phase { true } else { false } }
  var isRecovering: Bool { if case .recovering = phase { true } else { false } }
  var isEntering: Bool { if case .entering = phase { true } else { false } }

  /// Continues from another place in the stream, which must be known.
  private func move(to stream: RoomStream) {
    switch phase {
    case .subscribing, .entering: break
    case .live: phase = .live(stream)
    case .recovering: phase = .recovering(stream)
    }
  }

  /// Judges a message against the stream, and moves forward to it when it is the next one.
  /// Nil: where the stream stands is not known yet.
  func receive(_ position: Position) -> RoomStream.Verdict? {
    guard var stream else { return nil }
    let verdict = stream.receive(position)
    if verdict == .next { move(to: stream) }
    return verdict
  }

  /// Moves forward over messages that cannot be had any more. Returns their offsets, or nil: there are none.
  func skip(to offset: UInt64) -> ClosedRange<UInt64>? {
    guard var stream, let skipped = stream.skip(to: offset) else { return nil }
    move(to: stream)
    return skipped
  }

  /// The offset of the last message that the members were given, or where the room was entered.
  var deliveredOffset: UInt64 {
    let waiting = batch?.entries.first { $0.offset > 0 }
    return waiting.map { $0.offset - 1 } ?? stream?.position.offset ?? 0
  }

  /// The last offset that the roster was given: what is in the batch is not.
  var rosterOffset: UInt64 { batch?.deliveredBefore ?? stream?.position.offset ?? 0 }

  /// Keeps a message for later, within `Limits.heldBytesMax`; recovery reads from history what does not fit.
  func hold(_ position: Position, _ envelope: Span<UInt8>) {
    guard Int(heldBytes) + envelope.count <= Limits.heldBytesMax else {
      held.removeAll()
      heldBytes = 0
      return
    }
    held.append(Held(position: position, envelope: [UInt8](copying: envelope)))
    heldBytes += UInt32(envelope.count)
  }

  /// Notes that a message was acknowledged to a publisher here.
  func note(acknowledged position: Position) {
    if position.epoch != stream?.position.epoch {
      acknowledgedElsewhere = [position]
    } else if position.offset > acknowledgedOffset {
      acknowledgedOffset = position.offset
    }
  }

  /// Epochs that a room remembers: no master that is older comes back.
  private static let formerMax = 16

  /// Continues in another epoch.
  func begin(at start: Position, lineage: [EpochEnd]) {
    if let last = stream?.position, last.epoch != start.epoch {
      former.removeAll { $0.epoch == last.epoch }
      former.append(last)
      if former.count > Room.formerMax { former.removeFirst() }
    }
    if stream != nil { move(to: RoomStream(at: start)) }
    self.lineage = lineage
    lastTimestamp = 0
    acknowledgedOffset = 0
    if let ahead = acknowledgedElsewhere.first, ahead.epoch == start.epoch { acknowledgedOffset = ahead.offset }
    acknowledgedElsewhere = []
  }

  /// Whether a page has all that was acknowledged here.
  func isWhole(in page: HistoryPage) -> Bool {
    guard let stream else { return true }
    return ([end(of: stream).position] + acknowledgedElsewhere).allSatisfy {
      $0.isContinued(by: page.position, page.lineage)
    }
  }

  /// How far the room surely went: to the last message received, or to one that was acknowledged here and not received yet.
  func end(of stream: RoomStream) -> StreamEnd {
    guard acknowledgedOffset > stream.position.offset else {
      return StreamEnd(position: stream.position, timestamp: lastTimestamp)
    }
    return StreamEnd(position: Position(epoch: stream.position.epoch, offset: acknowledgedOffset), timestamp: 0)
  }

  /// Takes what was held.
  func takeHeld() -> [Held] {
    defer { heldBytes = 0 }
    var taken: [Held] = []
    swap(&taken, &held)
    return taken
  }
}

/// A room's local members, one list per wire format, so that a fan-out never asks a member for its format.
struct Rosters {
  private var webSocket: [RosterEntry] = []
  private var webSocketDeflated: [RosterEntry] = []
  private var eventStream: [RosterEntry] = []
  private var poll: [RosterEntry] = []
  private var socketIO: [RosterEntry] = []

  var isEmpty: Bool {
    webSocket.isEmpty && webSocketDeflated.isEmpty && eventStream.isEmpty && poll.isEmpty && socketIO.isEmpty
  }

  /// Gives the room that a crowd took back.
  mutating func shrink() {
    for format in WireFormat.allCases where self[format: format].capacity > 64 {
      if self[format: format].capacity > self[format: format].count * 4 {
        self[format: format] = Array(self[format: format][...])
      }
    }
  }

  subscript(format format: WireFormat) -> [RosterEntry] {
    get {
      switch format {
      case .webSocket: webSocket
      case .webSocketDeflated: webSocketDeflated
      case .eventStream: eventStream
      case .poll: poll
      case .socketIO: socketIO
      }
    }
    _modify {
      switch format {
      case .webSocket: yield &webSocket
      case .webSocketDeflated: yield &webSocketDeflated
      case .eventStream: yield &eventStream
      case .poll: yield &poll
      case .socketIO: yield &socketIO
      }
    }
  }
}
