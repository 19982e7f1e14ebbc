import ClientProtocol

/// Which transport is tried next. The one that works is remembered while it works. Pure.
struct TransportChoice {
  private let all: [Transport]
  private var index = 0
  /// Transports that have failed in a row.
  private var failures = 0

  init(_ transports: [Transport]) { all = transports.isEmpty ? Transport.allCases : transports }

  var current: Transport { all[index] }

  /// What follows from the end of a connection that never was open.
  enum Next: Equatable {
    /// Another transport at once.
    case otherTransport
    /// The same again, after a wait: nothing is wrong with the transport.
    case sameLater
    /// The first again, after a wait: all have failed.
    case firstLater
    /// No more, because of this code.
    case never(code: UInt16)
  }

  /// Notes that a connection is open.
  mutating func worked() { failures = 0 }

  /// Decides what follows from an end before the welcome.
  mutating func failed(_ end: WireEnd) -> Next {
    switch end {
    case .unreachable, .refused(status: 429), .refused(status: 503): return .sameLater
    // A proxy that forbids WebSockets says so, too.
    case .refused(status: 401) where current != .webSocket: return .never(code: 4401)
    case .refused(status: 403) where current != .webSocket: return .never(code: 4403)
    case .closed(let code, _) where code >= 4000 && CloseReason.reconnect(after: code) == .never:
      return .never(code: code)
    case .closed(let code, _) where code != 1006 && CloseReason.reconnect(after: code) != .never: return .sameLater
    case .refused, .broken, .done, .closed:
      failures += 1
      guard failures < all.count else {
        (failures, index) = (0, 0)
        return .firstLater
      }
      index = (index + 1) % all.count
      return .otherTransport
    }
  }
}

/// How long to wait before the next connection: exponential, with full jitter. Pure.
struct Backoff {
  private var attempt = 0

  /// The next wait in milliseconds.
  mutating func next(using generator: inout some RandomNumberGenerator) -> Int {
    let limits = ClientLimits.backoffMilliseconds
    let most = min(limits.upperBound, limits.lowerBound << min(attempt, 16))
    attempt += 1
    return Int.random(in: 0...most, using: &generator)
  }

  /// The last connection has proved itself.
  mutating func reset() { attempt = 0 }
}
