import ClientProtocol
import JSONCore

/// What a room gathers during one tick: encoded once, delivered once per wire format at the end of the tick.
///
/// An object, so that the hub hands the same few from room to room and an idle room owns no buffer.
public final class RoomBatch {
  /// One message of the batch.
  public struct Entry: Sendable {
    /// The end of the message in `bytes`; it begins where the one before ends.
    public let end: Int
    public let kind: EventKind
    /// The message's offset, 0 for notices, which have none.
    public let offset: UInt64
    /// The session that shall not receive it, or nil.
    public let origin: SlabID?
    /// Milliseconds since 1970 at which its node accepted it, 0 for notices.
    public let acceptedAt: UInt64
    /// Whether it belongs to the room's stream, in which members that are not where the room is find it by themselves: a message, a
    /// gap, an epoch.
    let isOfStream: Bool
    /// Whether it means nothing later: who cannot take it now never gets it.
    let isEphemeral: Bool
  }

  /// The messages' payloads, one after the other.
  public private(set) var bytes: [UInt8] = []
  public private(set) var entries: [Entry] = []
  /// Whether any entry has an `origin` to leave out.
  public private(set) var hasOrigins = false
  /// Whether any entry is a notice: neither a message nor a part of the room's stream.
  public private(set) var hasNotices = false
  /// Changes with the contents: two looks at one batch with the same revision see the same messages.
  public private(set) var revision: UInt64 = 0
  /// Whether it is for the room's own members only, and not for members of wildcards.
  var isForMembersOnly = false
  /// Whether it goes to members of wildcards too, so that it is delivered several times.
  public internal(set) var isForWildcards = false
  /// Whether it is a backlog, which members get as fast as they can take it: it does not count against their queue's limit.
  public internal(set) var isBacklog = false
  /// The offset before the first that it brings, or nil: it brings none yet.
  private(set) var deliveredBefore: UInt64?
  /// When its first message was accepted, in milliseconds since 1970; 0: it has none.
  private(set) var firstAcceptedAt: UInt64 = 0
  /// Whether it announces that an epoch has begun.
  private(set) var beginsEpoch = false
  /// The room's epoch, for formats that carry positions; nil before its first message.
  public internal(set) var epoch: Epoch?
  /// Where the room was when the batch was begun.
  var openedAt: UInt64 = 0
  /// The offset that members have before the first entry.
  public var startOffset: UInt64 { deliveredBefore ?? openedAt }

  /// Those of its messages' traces that are recorded, as far as one span names them.
  private(set) var traces: [TraceContext] = []
  /// When the first message of a trace came, in nanoseconds since 1970.
  private(set) var tracedAt: UInt64 = 0

  init() {}

  public var isEmpty: Bool { entries.isEmpty }

  /// Appends one message, whose payload `write` appends to the bytes it is given.
  func append(
    _ kind: EventKind, offset: UInt64, origin: SlabID?, acceptedAt: UInt64, isOfStream: Bool = false,
    isEphemeral: Bool = false, _ write: (inout [UInt8]) -> Void
  ) {
    write(&bytes)
    revision &+= 1
    entries.append(
      Entry(
        end: bytes.count, kind: kind, offset: offset, origin: origin, acceptedAt: acceptedAt,
        isOfStream: isOfStream || offset > 0, isEphemeral: isEphemeral))
    if origin != nil { hasOrigins = true }
    if offset == 0, !isOfStream { hasNotices = true }
    guard offset > 0 else { return }
    if deliveredBefore == nil { deliveredBefore = offset - 1 }
    if firstAcceptedAt == 0 { firstAcceptedAt = acceptedAt }
  }

  /// Appends an event without an offset.
  func append(_ event: ServerEvent, origin: SlabID? = nil, isOfStream: Bool = false) {
    append(event.kind, offset: 0, origin: origin, acceptedAt: 0, isOfStream: isOfStream) { event.appendJSON(to: &$0) }
  }

  /// Appends the notice of messages that cannot be had any more.
  func append(gap lost: ClosedRange<UInt64>, roomJSON: [UInt8]) {
    append(.gap(roomJSON: roomJSON, lost: lost), isOfStream: true)
    if deliveredBefore == nil { deliveredBefore = lost.lowerBound - 1 }
  }

  /// Appends the notice of an epoch that has begun.
  func append(epoch event: ServerEvent) {
    append(event, isOfStream: true)
    beginsEpoch = true
  }

  /// Notes that a message of a trace is in it.
  func note(_ trace: TraceContext, at now: UInt64) {
    if traces.isEmpty { tracedAt = now }
    if traces.count <= TraceLimits.linksMax { traces.append(trace) }
  }

  /// Leaves only the newest message of each key, `name` being the member that holds it, and all notices. Returns how many
  /// messages went.
  func conflate(by name: [UInt8]?) -> Int {
    var isKept = [Bool](repeating: true, count: entries.count)
    var seen: Set<[UInt8]> = []
    let bytes = bytes
    for index in entries.indices.reversed() where entries[index].offset > 0 {
      let start = index == 0 ? 0 : entries[index - 1].end
      let payload = bytes.span.extracting(start..<entries[index].end)
      isKept[index] = seen.insert(ConflationKey.value(of: name, in: payload, entries[index].kind)).inserted
    }
    let removed = isKept.count { !$0 }
    guard removed > 0 else { return 0 }
    let (oldBytes, oldEntries) = (bytes, entries)
    let (oldBefore, oldAcceptedAt, oldBegins, oldTraces) = (deliveredBefore, firstAcceptedAt, beginsEpoch, traces)
    removeAll()
    traces = oldTraces
    (deliveredBefore, firstAcceptedAt, beginsEpoch) = (oldBefore, oldAcceptedAt, oldBegins)
    var start = 0
    for (index, entry) in oldEntries.enumerated() {
      if isKept[index] {
        append(
          entry.kind, offset: entry.offset, origin: entry.origin, acceptedAt: entry.acceptedAt,
          isOfStream: entry.isOfStream, isEphemeral: entry.isEphemeral
        ) {
          $0.append(contentsOf: oldBytes[start..<entry.end])
        }
      }
      start = entry.end
    }
    return removed
  }

  func removeAll() {
    bytes.removeAll(keepingCapacity: true)
    entries.removeAll(keepingCapacity: true)
    (hasOrigins, hasNotices) = (false, false)
    revision &+= 1
    isForWildcards = false
    isBacklog = false
    deliveredBefore = nil
    firstAcceptedAt = 0
    beginsEpoch = false
    if !traces.isEmpty { traces = [] }
  }
}
