import TimeCore

/// Decides how long a connection may be idle between two requests. Pure.
///
/// A balancer reuses its connections to a node, and sends a request into a connection that the node is just closing as a
/// 502 to the client: the node must wait longer than the balancer does. The balancers' own times: nginx 60 s
/// (keepalive_timeout in upstream), AWS ALB 60 s, HAProxy 5 s of a pooled connection, Google's balancers 600 s. Few
/// connections may wait that long, so that strangers do not hold descriptors for nothing.
struct KeepAlive {
  /// How long a connection that has a place may be idle: longer than any balancer above.
  static let long = Interval.seconds(620)
  /// The same for the others, as for a request head.
  static let short = Interval.seconds(10)
  /// Connections that may wait the long time at once: what a few balancers keep open.
  static let placesMax = 1024

  private(set) var taken = 0
  private let places: Int

  init(places: Int = KeepAlive.placesMax) { self.places = places }

  /// Takes a place for a connection that becomes idle. Returns whether it has one.
  mutating func take() -> Bool {
    guard taken < places else { return false }
    taken += 1
    return true
  }

  /// Gives a place back.
  mutating func release() { taken -= 1 }
}
