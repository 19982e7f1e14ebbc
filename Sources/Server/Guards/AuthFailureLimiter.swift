import AddressCore
import Realtime
import TimeCore

/// Limits wrong admin tokens: so many a minute from each subscriber's address. Pure.
package struct AuthFailureLimiter {
  /// Addresses that are remembered. Beyond it those that have not guessed yet share one count, so that a guesser with a
  /// network full of addresses wins nothing.
  static let addressesMax = 4096

  /// The guesses that one address has left.
  private struct Account {
    var left: Double
    var last: Instant
  }

  /// A full table is looked through at most this often, for it takes a while.
  private static let pruneInterval = Interval.seconds(1)

  private let perMinute: Int
  private var prunedAt = Instant.zero
  private var accounts: [IPAddress: Account] = [:]
  private var others: Account

  /// - Parameter perMinute: 0 for no limit.
  package init(perMinute: Int, now: Instant) {
    self.perMinute = perMinute
    others = Account(left: Double(perMinute), last: now)
  }

  /// The time until the address may try again; zero: now. Asked before a token is looked at, so that a right one is no
  /// use either: otherwise the answer would show a guesser that the token is right.
  func wait(_ address: IPAddress, at now: Instant) -> Interval {
    guard perMinute > 0 else { return .zero }
    let left = settled(accounts[address.subscriber] ?? unknown, at: now).left
    return left >= 1 ? .zero : .milliseconds(Int((1 - left) * 60_000 / Double(perMinute)) + 1)
  }

  /// Counts a wrong token.
  mutating func note(_ address: IPAddress, at now: Instant) {
    guard perMinute > 0 else { return }
    if accounts[address.subscriber] == nil, isFull, now >= prunedAt + AuthFailureLimiter.pruneInterval {
      prune(at: now)
    }
    var account = settled(accounts[address.subscriber] ?? unknown, at: now)
    account.left = max(0, account.left - 1)
    if accounts[address.subscriber] != nil || !isFull {
      accounts[address.subscriber] = account
    } else {
      others = account
    }
  }

  private var isFull: Bool { accounts.count >= AuthFailureLimiter.addressesMax }
  private var unknown: Account { isFull ? others : Account(left: Double(perMinute), last: .zero) }

  private func settled(_ account: Account, at now: Instant) -> Account {
    let gained = now > account.last ? (now - account.last) / .seconds(60) * Double(perMinute) : 0
    return Account(left: min(Double(perMinute), account.left + gained), last: now)
  }

  /// Forgets those who have their whole count back.
  private mutating func prune(at now: Instant) {
    prunedAt = now
    accounts = accounts.filter { settled($0.value, at: now).left < Double(perMinute) }
  }
}
