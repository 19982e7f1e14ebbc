import ClientProtocol
import Realtime

/// How far the messages of one room were written to a target: what to send next, what is lost, what may be confirmed. Pure.
///
/// Messages are sent in the order of their offsets and confirmed up to the first that the other side does not have. After a
/// failure everything from there on is sent again, so that a key's order stays.
public struct OutRoom {
  /// Messages of a room that may be on their way: enough to keep a broker busy, few enough to be sent again.
  public static let windowMax = 256

  /// What is to be done after a message was noticed.
  public enum Step: Equatable, Sendable {
    case wait
    /// The noticed message is the next one.
    case send
    case read
  }

  /// What a page of history means.
  public struct Progress {
    /// To send, in this order.
    public var entries: ArraySlice<HistoryPage.Entry> = []
    /// Messages that history did not hold any more.
    public var lost: UInt64 = 0
    /// Whether the position has changed without a message, and is to be confirmed.
    public var isMoved = false
    /// Whether to read again at once.
    public var readsAgain = false
  }

  /// The epoch; nil until the first page, when nothing was known of the room.
  public private(set) var epoch: Epoch?
  private(set) var sent: UInt64 = 0
  public private(set) var confirmed: UInt64 = 0
  /// The last offset that is known to exist.
  public private(set) var latest: UInt64 = 0
  public private(set) var inFlight = 0
  /// Whether a page was asked for.
  public private(set) var isReading = false
  /// Whether messages may exist that were not sent.
  public private(set) var isDirty = true
  /// Whether a message failed: nothing is sent until `resume`.
  public private(set) var isStalled = false
  /// Whether the next page can only be used once nothing is on its way: offsets before it are gone, or of another epoch.
  private var needsQuiet = false
  /// Of each message after `confirmed` whether the other side has it.
  private var done: [Bool] = []

  /// - Parameter position: what was confirmed; nil: nothing is known, so the room begins with what history holds.
  public init(confirmed position: Position?) {
    guard let position else { return }
    epoch = position.epoch
    (sent, confirmed, latest) = (position.offset, position.offset, position.offset)
  }

  /// What may be confirmed; nil until the epoch is known.
  public var position: Position? { epoch.map { Position(epoch: $0, offset: confirmed) } }
  /// Where to read on from.
  public var readsAfter: UInt64 { sent }
  /// Messages that exist and are not confirmed.
  public var lag: UInt64 { latest - min(latest, confirmed) }
  /// Whether nothing is going on.
  public var isIdle: Bool { !isDirty && !isReading && !isStalled && inFlight == 0 }

  /// Notes that a message exists; the caller has its text.
  ///
  /// - Parameter maySend: whether there is room for another message on its way.
  public mutating func notice(_ position: Position, maySend: Bool) -> Step {
    if position.epoch == epoch {
      guard position.offset > sent else { return .wait }
      latest = max(latest, position.offset)
      if maySend, !isReading, !isStalled, !isDirty, inFlight < Self.windowMax, position.offset == sent + 1 {
        take()
        return .send
      }
    }
    isDirty = true
    return wantsRead(maySend: maySend) ? .read : .wait
  }

  /// Whether history is to be read now.
  public func wantsRead(maySend: Bool) -> Bool {
    isDirty && !isReading && !isStalled && maySend && inFlight <= (needsQuiet ? 0 : Self.windowMax / 2)
  }

  /// Notes that history was asked for.
  public mutating func beginRead() { isReading = true }
  /// Notes that history may hold more.
  public mutating func markDirty() { isDirty = true }
  /// Notes that history gave no answer.
  public mutating func failRead() { isReading = false }

  /// Takes a page that was asked for from `readsAfter` on.
  public mutating func take(_ page: HistoryPage, limit: Int) -> Progress {
    (isReading, needsQuiet) = (false, false)
    var progress = Progress()
    guard !isStalled else { return progress }
    if epoch != page.position.epoch {
      // What is on its way was counted in the other epoch.
      guard inFlight == 0 else {
        needsQuiet = true
        return progress
      }
      let before = sent
      begin(page)
      progress.isMoved = true
      if sent < before {
        progress.readsAgain = true
        isDirty = true
        latest = max(page.position.offset, sent)
        return progress
      }
    }
    latest = max(page.position.offset, sent)
    let first = page.entries.first?.offset ?? page.position.offset + 1
    if first > sent + 1 {
      guard inFlight == 0 else {
        needsQuiet = true
        return progress
      }
      progress.lost = first - sent - 1
      progress.isMoved = true
      jump(to: first - 1)
    }
    let fresh = page.entries.drop { $0.offset <= sent }
    progress.entries = fresh.prefix(min(limit, Self.windowMax - inFlight))
    for _ in progress.entries { take() }
    isDirty = sent < latest
    progress.readsAgain = isDirty && progress.entries.count == fresh.count && inFlight < Self.windowMax / 2
    return progress
  }

  /// Finds where to continue in an epoch that is new here.
  private mutating func begin(_ page: HistoryPage) {
    guard let old = epoch else {
      epoch = page.position.epoch
      // What was before the bridge was is not lost.
      return jump(to: page.entries.first.map { $0.offset - 1 } ?? page.position.offset)
    }
    let shared = page.lineage.first { $0.position.epoch == old }?.position.offset
    epoch = page.position.epoch
    jump(to: shared.map { min($0, sent) } ?? 0)
  }

  private mutating func jump(to offset: UInt64) {
    (sent, confirmed) = (offset, offset)
    done = []
  }

  private mutating func take() {
    sent += 1
    inFlight += 1
    done.append(false)
  }

  /// Notes that the other side has a message. Returns whether more may be confirmed than before.
  public mutating func deliver(_ offset: UInt64) -> Bool {
    inFlight -= 1
    guard offset > confirmed, offset - confirmed <= UInt64(done.count) else { return false }
    done[Int(offset - confirmed) - 1] = true
    let count = done.prefix { $0 }.count
    // Behind one that has failed nothing is confirmed; they are sent again.
    guard count > 0 else { return false }
    confirmed += UInt64(count)
    done.removeFirst(count)
    return true
  }

  /// Notes that the other side may not have a message. When nothing is on its way any more, `resume` sends the rest again.
  public mutating func fail() {
    inFlight -= 1
    isStalled = true
  }

  /// Begins again after a failure, from what is confirmed on.
  public mutating func resume() {
    guard isStalled, inFlight == 0 else { return }
    isStalled = false
    isDirty = true
    sent = confirmed
    done = []
  }
}
