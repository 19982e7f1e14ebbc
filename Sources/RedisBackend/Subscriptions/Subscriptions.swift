/// Keeps the channels that a node wants in step with those that Redis has confirmed.
///
/// A pure state machine: the owner sends what `takeCommands` returns, reports confirmations and a lost connection,
/// and answers the waiters that are returned. At most one command per channel leaves in one take, so the order of
/// the commands of one take does not matter.
struct Subscriptions<Waiter> {
  private struct Channel {
    /// Whether the node wants it.
    var isWanted: Bool
    /// Whether the last command sent on this connection was SUBSCRIBE.
    var isAsked = false
    /// SUBSCRIBE commands sent on this connection and not confirmed. Only the last confirmation counts: an
    /// UNSUBSCRIBE may stand between two.
    var unconfirmed: UInt16 = 0
    /// Whether it was active at some time since it was wanted.
    var wasActive = false
    var waiters: [Waiter] = []
    /// Whether the server ended or refused it: it is asked for again after `takeDropped`.
    var isDroppedByServer = false

    var isActive: Bool { isWanted && isAsked && unconfirmed == 0 }
  }

  /// Channels for one SUBSCRIBE or UNSUBSCRIBE.
  struct Command: Equatable {
    enum Verb { case subscribe, unsubscribe }
    var verb: Verb
    var channels: [[UInt8]]
  }

  /// A channel that moves to another connection, with its waiters.
  struct Released {
    let channel: [UInt8]
    fileprivate let waiters: [Waiter]
    fileprivate let wasActive: Bool
  }

  private var channels: [[UInt8]: Channel] = [:]
  private var changed: [[UInt8]] = []

  /// Whether `takeCommands` would return something.
  var hasCommands: Bool { !changed.isEmpty }

  /// The number of channels wanted, or given up and not yet settled.
  var count: Int { channels.count }

  /// Moves the channels into a table of their size.
  mutating func shrink() {
    guard channels.capacity > 64, channels.capacity > channels.count * 4 else { return }
    channels = Dictionary(uniqueKeysWithValues: channels.map { ($0.key, $0.value) })
  }

  /// Wants a channel. Returns true when it is active already, so that the waiter need not wait; else the waiter is kept.
  mutating func want(_ channel: [UInt8], _ waiter: Waiter?) -> Bool {
    var state = channels[channel] ?? Channel(isWanted: false)
    if state.isActive { return true }
    if !state.isWanted {
      state.isWanted = true
      if state.isActive {
        // Given up and wanted again before the UNSUBSCRIBE left.
        state.wasActive = true
        channels[channel] = state
        return true
      }
      changed.append(channel)
    }
    if let waiter { state.waiters.append(waiter) }
    channels[channel] = state
    return false
  }

  /// Gives a channel up. Returns those that still waited for it.
  mutating func giveUp(_ channel: [UInt8]) -> [Waiter] {
    guard let state = channels[channel], state.isWanted else { return [] }
    channels[channel]?.isWanted = false
    channels[channel]?.wasActive = false
    channels[channel]?.waiters = []
    changed.append(channel)
    return state.waiters
  }

  /// Returns the commands that bring Redis up to date, each with at most `limit` channels.
  mutating func takeCommands(limit: Int) -> [Command] {
    var wanted: [[UInt8]] = []
    var unwanted: [[UInt8]] = []
    for channel in changed {
      guard let state = channels[channel] else { continue }
      if state.isDroppedByServer, state.isWanted { continue }
      if state.isWanted, !state.isAsked {
        channels[channel]?.isAsked = true
        channels[channel]?.unconfirmed += 1
        wanted.append(channel)
      } else if !state.isWanted {
        channels[channel]?.isAsked = false
        if state.isAsked { unwanted.append(channel) }
        if state.unconfirmed == 0 { channels[channel] = nil }
      }
    }
    changed = []
    return Subscriptions.batches(.subscribe, wanted, limit) + Subscriptions.batches(.unsubscribe, unwanted, limit)
  }

  /// Notes that Redis confirmed a SUBSCRIBE. Returns the waiters to be answered.
  mutating func confirmed(_ channel: [UInt8]) -> [Waiter] {
    guard var state = channels[channel], state.unconfirmed > 0 else { return [] }
    state.unconfirmed -= 1
    guard state.unconfirmed == 0 else {
      channels[channel] = state
      return []
    }
    guard state.isWanted else {
      // An UNSUBSCRIBE not yet taken still needs the entry.
      channels[channel] = state.isAsked ? state : nil
      return []
    }
    // A SUBSCRIBE not yet taken will bring the confirmation that counts.
    guard state.isAsked else {
      channels[channel] = state
      return []
    }
    let waiters = state.waiters
    state.waiters = []
    state.wasActive = true
    channels[channel] = state
    return waiters
  }

  /// Notes that Redis refused what was asked for and was never active. Returns the waiters, which failed; nil when nothing was
  /// asked for, or a channel that was active before may be among the refused.
  mutating func refused() -> [Waiter]? {
    let asked = channels.filter { $0.value.unconfirmed > 0 }
    guard !asked.isEmpty, asked.values.allSatisfy({ !$0.wasActive }) else { return nil }
    for name in asked.keys { channels[name] = nil }
    return asked.values.flatMap(\.waiters)
  }

  /// Notes that the connection is gone. Returns all waiters, which failed: a channel that was never active is not wanted any
  /// more, unless it had no waiter.
  mutating func connectionLost() -> [Waiter] {
    var waiters: [Waiter] = []
    changed = []
    for (name, state) in channels {
      waiters += state.waiters
      if !state.isWanted || (!state.waiters.isEmpty && !state.wasActive) {
        channels[name] = nil
        continue
      }
      channels[name] = Channel(isWanted: true, wasActive: state.wasActive)
      changed.append(name)
    }
    return waiters
  }

  // MARK: Clusters

  /// Notes that the server has ended a subscription. Returns false when it only confirms that.
  mutating func dropped(byServer channel: [UInt8]) -> Bool {
    guard let state = channels[channel], state.isActive else { return false }
    channels[channel]?.isAsked = false
    channels[channel]?.isDroppedByServer = true
    return true
  }

  /// Notes that the server refused to subscribe to the channels that `isAffected` chooses.
  mutating func refused(where isAffected: ([UInt8]) -> Bool) {
    for (name, state) in channels where state.unconfirmed > 0 && isAffected(name) {
      guard state.isWanted else {
        channels[name] = nil
        continue
      }
      channels[name]?.isAsked = false
      channels[name]?.unconfirmed = 0
      channels[name]?.isDroppedByServer = true
    }
  }

  /// Takes out what the server has dropped or refused.
  mutating func takeDropped() -> [Released] { take { $1.isDroppedByServer } }

  /// Takes out all channels but those that `belongs` chooses.
  mutating func release(unless belongs: ([UInt8]) -> Bool) -> [Released] { take { name, _ in !belongs(name) } }

  private mutating func take(where isAffected: ([UInt8], Channel) -> Bool) -> [Released] {
    var taken: [Released] = []
    for (name, state) in channels where isAffected(name, state) {
      channels[name] = nil
      if state.isWanted { taken.append(Released(channel: name, waiters: state.waiters, wasActive: state.wasActive)) }
    }
    return taken
  }

  /// Wants a channel that another connection has released, with one more waiter.
  mutating func adopt(_ released: Released, _ waiter: Waiter) {
    var state = Channel(isWanted: true)
    // It outlives a lost connection unless a waiter learns of that.
    state.wasActive = released.wasActive || released.waiters.isEmpty
    state.waiters = released.waiters + [waiter]
    channels[released.channel] = state
    changed.append(released.channel)
  }

  private static func batches(_ verb: Command.Verb, _ channels: [[UInt8]], _ limit: Int) -> [Command] {
    stride(from: 0, to: channels.count, by: limit).map {
      Command(verb: verb, channels: Array(channels[$0..<min($0 + limit, channels.count)]))
    }
  }
}
