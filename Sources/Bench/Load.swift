/// What the generator's connections do: one kind per scenario.
///
/// Confined to the loop of its generator.
protocol Load: AnyObject {
  /// Connections that are open at a time.
  var clientCount: Int { get }
  /// Says where a client connects, and which path and query it asks for.
  func destination(of client: Int) -> (url: Destination, target: String)
  /// Tells that the handshake of a client is done.
  func opened(_ client: Int)
  /// Hands over a message. `now` is when its bytes were read, in nanoseconds of the monotonic clock.
  func received(_ client: Int, _ message: Span<UInt8>, at now: UInt64)
  /// Tells that every client is ready.
  func begin()
  /// Tells that a client which the load had closed is closed.
  func closed(_ client: Int)
  /// Tells that everything which had arrived is handed over; what is sent now leaves with this tick.
  func tickEnded()
}
