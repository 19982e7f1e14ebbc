/// What a session was given on its own request, against what it may be given in a second; pure.
///
/// An answer is charged when it is made, because only then is its size known. More than a second's worth is a debt, which
/// time pays off; until then the next large read waits.
struct ReadDebt: Sendable {
  private let rate: Double
  private let burst: Double
  private var balance: Double
  private var last: UInt64

  /// - Parameters:
  ///   - bytesPerSecond: 0 for no limit.
  ///   - burst: bytes at once when that is more than a second's worth.
  init(bytesPerSecond: UInt32, burst: Int, now: UInt64) {
    rate = Double(bytesPerSecond)
    self.burst = max(rate, Double(burst))
    balance = self.burst
    last = now
  }

  /// Charges an answer of so many bytes.
  mutating func charge(_ bytes: Int, at now: UInt64) {
    guard rate > 0 else { return }
    pay(at: now)
    balance -= Double(bytes)
  }

  /// Milliseconds until the debt is paid; 0: there is none.
  mutating func delay(at now: UInt64) -> UInt64 {
    guard rate > 0 else { return 0 }
    pay(at: now)
    guard balance < 0 else { return 0 }
    let milliseconds = -balance * 1000 / rate
    let whole = UInt64(milliseconds)
    return Double(whole) < milliseconds ? whole + 1 : whole
  }

  private mutating func pay(at now: UInt64) {
    // A clock that was set back brings nothing.
    if now > last { balance = min(burst, balance + Double(now - last) * rate / 1000) }
    last = now
  }
}
