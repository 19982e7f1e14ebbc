import ClientProtocol

/// A piece of a room's history.
public struct HistoryPage {
  /// One message: its offset and its encoded `Envelope`.
  public typealias Entry = (offset: UInt64, envelope: [UInt8])

  /// The room's position when the page was read, atomically with it.
  public var position: Position
  /// Ascending by offset, without holes.
  public var entries: [Entry]
  /// The epochs that this one continues, the newest first.
  public var lineage: [EpochEnd]

  public init(position: Position, entries: [Entry], lineage: [EpochEnd] = []) {
    self.position = position
    self.entries = entries
    self.lineage = lineage
  }
}

extension HistoryPage {
  /// Whether the room has messages after the last one of the page.
  public var hasMore: Bool { entries.last.map { $0.offset < position.offset } ?? false }

  /// Whether the message after `offset` is in the page, or there is none.
  func reaches(_ offset: UInt64) -> Bool {
    entries.first.map { $0.offset <= offset + 1 } ?? (offset >= position.offset)
  }
}

/// Where an epoch ended that another one continues.
public struct EpochEnd: Equatable, Sendable {
  /// The last place at which both have the same message.
  public let position: Position
  /// Whether nothing is known to be missing between them that was acknowledged.
  public let isWhole: Bool

  public init(position: Position, isWhole: Bool) {
    self.position = position
    self.isWhole = isWhole
  }
}

extension HistoryPage {
  /// The last offset at which this stream and another have the same message; nil: none is known.
  ///
  /// - Parameters:
  ///   - position: where the other stream is.
  ///   - lineage: what the other one continues.
  func shared(with position: Position, lineage: [EpochEnd]) -> UInt64? {
    for other in [position] + lineage.map(\.position) {
      for own in [self.position] + self.lineage.map(\.position) where own.epoch == other.epoch {
        return min(own.offset, other.offset)
      }
    }
    return nil
  }
}

extension HistoryPage {
  /// How far this stream has what others had, each up to a place; nil: nothing of any.
  func given(_ others: [Position]) -> UInt64? {
    var most: UInt64?
    for other in others {
      for own in [position] + lineage.map(\.position) where own.epoch == other.epoch {
        most = max(most ?? 0, min(own.offset, other.offset))
      }
    }
    return most
  }
}

extension Position {
  /// Whether somebody who was here has missed nothing that a stream does not have.
  ///
  /// - Parameters:
  ///   - current: where the stream is.
  ///   - lineage: what its epoch continues.
  public func isContinued(by current: Position, _ lineage: [EpochEnd]) -> Bool {
    if epoch == current.epoch { return offset <= current.offset }
    return lineage.contains { $0.position.epoch == epoch && offset <= $0.position.offset && $0.isWhole }
  }
}
