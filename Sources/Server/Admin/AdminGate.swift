import HTTPCore
import LoopCore
import Realtime
import TimeCore

/// Decides who is an operator: compares tokens in constant time, and counts the wrong ones of each address. Confined to the loop
/// that created it.
final class AdminGate {
  /// What becomes of a token.
  enum Verdict: Equatable {
    case opened
    /// It is the API key, which does not open this.
    case apiKey
    case wrong
    /// Too many wrong ones came from the address: none is looked at for so long.
    case tooMany(Interval)
  }

  /// What an address that has tried too many tokens is answered.
  static let tooMany = "too many wrong tokens from this address: wait before the next"

  private let keys: AdminEndpoint.Keys
  private var guesses: AuthFailureLimiter
  /// Whose clock and counters it uses; nil: guesses are not counted.
  weak var node: Node?

  init(_ keys: AdminEndpoint.Keys, _ guesses: AuthFailureLimiter) { (self.keys, self.guesses) = (keys, guesses) }

  /// Judges a token; nil: none was given, which is no guess.
  ///
  /// - Parameters:
  ///   - address: the client's numeric address.
  ///   - acceptsAPIKey: whether the API key opens as well.
  func judge(_ token: [UInt8]?, from address: [UInt8], acceptsAPIKey: Bool) -> Verdict {
    let peer = Peer(text: address).address
    if let node {
      // Before the token is looked at: whether a right one would be refused too tells a guesser nothing.
      let wait = guesses.wait(peer, at: node.loop.instant)
      guard wait <= .zero else {
        node.metrics.refusals.add(.adminGuesses)
        return .tooMany(wait)
      }
    }
    guard let token else { return .wrong }
    // Both are always compared, so that the time tells nothing about which one came close.
    let isAdmin = Digest.isEqual(token, keys.adminToken)
    let isAPI = keys.apiKey.map { Digest.isEqual(token, $0) } ?? false
    if isAdmin || (acceptsAPIKey && isAPI) { return .opened }
    // A right key at the wrong path is no guess.
    if isAPI { return .apiKey }
    if let node { guesses.note(peer, at: node.loop.instant) }
    return .wrong
  }
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
enum BearerToken {
  static func read(_ head: RequestHead) -> [UInt8]? {
    guard let value = head.value(.authorization), value.count > 7 else { return nil }
    let scheme: StaticString = "bearer "
    for i in 0..<7 {
      // Safe because the literal has seven bytes; schemes are case-insensitive (RFC 9110 section 11.1).
      let wanted = scheme.utf8Start[i]
      guard value[i] == wanted || (value[i] | 0x20) == wanted else { return nil }
    }
    // RFC 9110 section 11.4: one or more spaces.
    var start = 7
    while start < value.count, value[start] == UInt8(ascii: " ") { start += 1 }
    return start < value.count ? [UInt8](copying: value.extracting(start..<value.count)) : nil
  }
}
