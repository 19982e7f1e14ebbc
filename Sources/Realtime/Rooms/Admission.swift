import ClientProtocol

/// What decides whether, and how, a join is answered; pure, a table of inputs and decisions.
struct Admission {
  enum Decision: Equatable {
    /// The stream has not come far enough: it waits.
    case wait
    /// A new token has forbidden the room meanwhile.
    case refuse
    /// What the client missed is to be read from history first.
    case readHistory
    /// The client begins where the room is. `recovered`: whether it has missed nothing; nil: it did not ask.
    case enter(recovered: Bool?)
    /// The client is given everything above an offset, then enters.
    case resume(after: UInt64)
  }

  /// What history was found to have.
  enum History: Equatable {
    /// It was not read yet.
    case unread
    /// It was read. `reaches`: whether it has everything that the client missed.
    case read(reaches: Bool)
  }

  /// Whether the session still is to be in the room.
  var isWanted = true
  /// Where the room was when it was entered: the client may have seen acknowledgements up to here.
  var entered: Position
  /// Where the room is.
  var position: Position
  /// Where the client was, or nil: it does not ask for what it missed.
  var since: Position?
  /// What the room's epoch continues, or nil: history was not read.
  var lineage: [EpochEnd]?
  /// Whether the recovery cache has everything that the client missed.
  var isCached = false
  var history = History.unread

  func decide() -> Decision {
    // Offsets of an epoch that has ended mean nothing.
    guard entered.epoch != position.epoch || entered.offset <= position.offset else { return .wait }
    guard isWanted else { return .refuse }
    guard let since else { return .enter(recovered: nil) }
    // Only history knows which epochs this one continues.
    if since.epoch != position.epoch, lineage == nil, history == .unread { return .readHistory }
    guard since.isContinued(by: position, lineage ?? []) else { return .enter(recovered: false) }
    if since.offset == position.offset { return .enter(recovered: true) }
    if !isCached {
      switch history {
      case .unread: return .readHistory
      case .read(reaches: false): return .enter(recovered: false)
      case .read(reaches: true): break
      }
    }
    return since.offset < position.offset ? .resume(after: since.offset) : .enter(recovered: true)
  }
}
