/// Compares the channels that Redis holds for a connection with those that it was asked for: every confirmation carries
/// their number. Finds a single lost subscription, at the same cost however many rooms there are. Pure.
///
/// Every SUBSCRIBE and UNSUBSCRIBE that is sent changes the number by one per channel, but for the audit's own, which
/// subscribes to a channel that is subscribed already.
struct SubscriptionAudit {
  /// Channels in commands that were sent on this connection, and confirmations that came.
  private var asked: UInt64 = 0
  private var answered: UInt64 = 0
  /// What Redis must hold after the confirmations so far.
  private var standing = 0
  /// The value of `asked` when the audit was sent: all that must be confirmed when it is answered.
  private var mark: UInt64?
  private var hasFirst = false

  /// Whether an audit may be asked for: none is under way.
  var isIdle: Bool { mark == nil && hasFirst }

  /// Notes a command for so many channels.
  mutating func ask(channels: Int) { asked += UInt64(channels) }

  /// Notes that the audit's command was sent, or, on a fresh connection, the PING after the first commands.
  mutating func begin() { mark = asked }

  /// Notes that a subscription was refused: no confirmation will come.
  mutating func refuse() {
    asked -= 1
    if let mark { self.mark = mark - 1 }
  }

  /// Notes that the server has ended a subscription by itself.
  mutating func drop() { standing -= 1 }

  /// Goes on with another channel to subscribe to twice.
  mutating func changeChannel() {
    hasFirst = false
    mark = nil
  }

  /// Notes that the PING was answered. Returns whether everything asked for before it was confirmed.
  mutating func opened() -> Bool {
    defer { mark = nil }
    return hasFirst && mark.map { answered >= $0 } ?? true
  }

  /// Notes a confirmation with the number it carries. Returns whether the number is right.
  ///
  /// - Parameter isAudited: whether it names the channel that the audit subscribes to.
  mutating func confirm(subscribed: Bool, isAudited: Bool, count: Int) -> Bool {
    if isAudited, subscribed, hasFirst {
      // Answers come in order: everything asked for before must be confirmed, and nothing after it yet.
      defer { mark = nil }
      return count == standing && mark == answered
    }
    if isAudited, subscribed { hasFirst = true }
    answered += 1
    return confirmPattern(subscribed: subscribed, count: count)
  }

  /// Notes a confirmation of a pattern, which counts like a channel. Patterns may be refused, so none is waited for.
  mutating func confirmPattern(subscribed: Bool, count: Int) -> Bool {
    standing += subscribed ? 1 : -1
    return count == standing
  }
}
