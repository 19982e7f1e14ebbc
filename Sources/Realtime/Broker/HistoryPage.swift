/// A piece of a room's history.
public struct HistoryPage {
  /// One message: its offset and its encoded `Envelope`.
  public typealias Entry = (offset: UInt64, envelope: [UInt8])

  /// The room's position when the page was read, atomically with it.
  public var position: Position
  /// Ascending by offset, without holes.
  public var entries: [Entry]
  /// The epochs that this one continues, the newest first, each with the last offset at which both have the same message.
  public var past: [Position]

  public init(position: Position, entries: [Entry], past: [Position] = []) {
    self.position = position
    self.entries = entries
    self.past = past
  }
}

extension HistoryPage {
  /// The last offset at which this stream and another have the same message; nil: nobody knows of any.
  ///
  /// - Parameters:
  ///   - position: where the other stream is.
  ///   - past: the epochs that the other one continues, as here.
  func shared(with position: Position, past: [Position]) -> UInt64? {
    for other in [position] + past {
      for own in [self.position] + self.past where own.epoch == other.epoch { return min(own.offset, other.offset) }
    }
    return nil
  }
}
