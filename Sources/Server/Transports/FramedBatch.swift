import ClientProtocol
import Realtime
import WebSocketCore

/// A room's batch as the frames of one form: RFC 6455, or RFC 7692 with every message compressed once for all.
///
/// Each entry is framed exactly once, however many members sent something in the same tick: what a sender receives is
/// put together from pieces of the same block.
struct FramedBatch {
  /// The frames of all entries, one after the other.
  let block: [UInt8]
  /// Where the frame of each entry ends in `block`. Empty when no member needs a part of it: no member sent anything in the
  /// batch, or its one entry is all there is.
  private let ends: [Int]

  init(_ batch: RoomBatch, deflatedBy compression: MessageCompression?) {
    var block: [UInt8] = []
    block.reserveCapacity(batch.bytes.count + 10 * batch.entries.count)
    var ends: [Int] = []
    let hasParts = batch.hasOrigins && batch.entries.count > 1
    if hasParts { ends.reserveCapacity(batch.entries.count) }
    var start = 0
    let bytes = batch.bytes
    for entry in batch.entries {
      let payload = bytes.span.extracting(start..<entry.end)
      start = entry.end
      let opcode: Opcode = entry.kind.opcode
      if let small = compression?.deflate(payload, windowBits: MessageCompression.sharedWindowBits) {
        FrameWriter.appendFrame(opcode, rsv1: true, payload: small.span, to: &block)
      } else {
        FrameWriter.appendFrame(opcode, payload: payload, to: &block)
      }
      if hasParts { ends.append(block.count) }
    }
    self.block = block
    self.ends = ends
  }

  /// The block without some of its entries, given by their places in the batch in ascending order: copies of the pieces
  /// between them.
  func without(_ entries: OriginIndex.Entries) -> [UInt8] {
    guard !ends.isEmpty else { return [] }
    var removedBytes = 0
    for entry in entries { removedBytes += ends[entry] - begin(of: entry) }
    guard removedBytes < block.count else { return [] }
    var rest: [UInt8] = []
    rest.reserveCapacity(block.count - removedBytes)
    var start = 0
    for entry in entries {
      rest.append(contentsOf: block[start..<begin(of: entry)])
      start = ends[entry]
    }
    rest.append(contentsOf: block[start...])
    return rest
  }

  private func begin(of entry: Int) -> Int { entry == 0 ? 0 : ends[entry - 1] }
}

/// Finds the entries of a batch that a session sent itself, without a look at those of others.
///
/// Filled for one fan-out and emptied after it. Its memory grows to the number of sessions, four bytes each.
struct OriginIndex {
  /// The first entry of each session, plus one; 0 for sessions without any.
  private var first: [UInt32] = []
  /// The next entry of the same session, plus one; 0 at the last. Means something for entries of a session only.
  private var next: [UInt32] = []

  /// The places of one session's entries in the batch, ascending.
  struct Entries: Sequence, IteratorProtocol {
    fileprivate let links: [UInt32]
    fileprivate var following: UInt32

    mutating func next() -> Int? {
      guard following > 0 else { return nil }
      let entry = Int(following) - 1
      following = links[entry]
      return entry
    }
  }

  /// Notes who sent what in a batch that has origins.
  mutating func fill(from batch: RoomBatch) {
    let entries = batch.entries
    while next.count < entries.count { next.append(0) }
    for entry in entries.indices.reversed() {
      guard let origin = entries[entry].origin else { continue }
      let session = Int(origin.index)
      let missing = session + 1 - first.count
      if missing > 0 { first.append(contentsOf: repeatElement(0, count: Swift.max(missing, first.count))) }
      next[entry] = first[session]
      first[session] = UInt32(entry) + 1
    }
  }

  /// Forgets the batch that it was filled from.
  mutating func empty(of batch: RoomBatch) {
    for case let origin? in batch.entries.lazy.map(\.origin) { first[Int(origin.index)] = 0 }
  }

  /// Whether a session sent any entry of the batch.
  @inline(__always)
  func contains(_ session: UInt32) -> Bool { Int(session) < first.count && first[Int(session)] > 0 }

  func entries(of session: UInt32) -> Entries { Entries(links: next, following: first[Int(session)]) }

  /// Gives memory back after a crowd has left.
  mutating func shrink() { (first, next) = ([], []) }
}

/// The last framing of each form: a batch that goes to the rosters of several wildcards is framed once for all of them.
struct FramingCache {
  private struct Known {
    /// Kept, so that no other batch can take its place in memory while it is compared.
    let batch: RoomBatch
    let revision: UInt64
    let framed: FramedBatch
  }

  private var plain: Known?
  private var deflated: Known?

  /// Returns the frames of a batch in one form; makes them when its contents are not those of the last call. A batch that
  /// is delivered once is not kept.
  mutating func frames(of batch: RoomBatch, _ format: WireFormat, _ compression: MessageCompression) -> FramedBatch {
    let isDeflated = format == .webSocketDeflated
    guard batch.isForWildcards else { return FramedBatch(batch, deflatedBy: isDeflated ? compression : nil) }
    if let known = isDeflated ? deflated : plain, known.batch === batch, known.revision == batch.revision {
      return known.framed
    }
    let framed = FramedBatch(batch, deflatedBy: isDeflated ? compression : nil)
    let known = Known(batch: batch, revision: batch.revision, framed: framed)
    if isDeflated { deflated = known } else { plain = known }
    return framed
  }

  /// Lets the last blocks go.
  mutating func shrink() { (plain, deflated) = (nil, nil) }
}
