import ClientProtocol

@testable import Realtime

/// Gives a room's epochs their names: after a failover the first message, or the first that is missing, begins another one.
struct Reigns {
  private var current: Epoch?
  private(set) var lineage: [EpochEnd] = []
  /// Where the last reign ended, until the next epoch begins.
  private var ended: Position?

  mutating func end(at position: Position) {
    ended = position
    current = position.epoch
  }

  /// A message is counted.
  mutating func count(epoch: UInt64) { if let ended { begin(epoch, after: ended, isWhole: true) } }

  private mutating func begin(_ epoch: UInt64, after end: Position, isWhole: Bool) {
    if !isWhole { lineage = lineage.map { EpochEnd(position: $0.position, isWhole: false) } }
    lineage.insert(EpochEnd(position: end, isWhole: isWhole), at: 0)
    current = Epoch(epoch + UInt64(lineage.count))
    ended = nil
  }

  /// A node says what it has heard, while the room is at an offset.
  mutating func compare(_ known: Position, at offset: UInt64, epoch: UInt64) {
    guard let current else { return }
    if known.epoch == current {
      if let ended, known.offset > ended.offset { begin(epoch, after: ended, isWhole: false) }
    } else if let epochEnd = lineage.first(where: { $0.position.epoch == known.epoch }) {
      guard known.offset > epochEnd.position.offset, epochEnd.isWhole else { return }
      begin(epoch, after: Position(epoch: current, offset: offset), isWhole: false)
    } else if let ended {
      begin(epoch, after: ended, isWhole: false)
    }
  }

  func name(_ position: Position) -> Position { Position(epoch: current ?? position.epoch, offset: position.offset) }
}
