import TimeCore

/// The fixed limits of webhooks.
public enum WebhookLimits {
  /// Bytes of an answer's body: a decision or a response to a request is a small JSON object. A longer one is a fault
  /// (`TransferFault.isTooLong`) where the body is wanted; elsewhere the rest is not read.
  public static let responseBytesMax = 64 << 10
  /// Requests of one client under way at a time, each on a connection of its own. More wait for one of these to end.
  public static let parallelMax = 32
  /// Requests of one client that may wait. One more fails at once (`TransferFault.Kind.tooManyRequests`): the receiver is
  /// slower than what is asked of it, and the memory of a node is bounded.
  public static let waitingMax = 1024
}
