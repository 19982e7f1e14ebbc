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
  /// Bytes of events that may wait in a node's memory; beyond it the oldest are dropped.
  public static let queueBytesMax = 32 << 20
  /// Bytes of one post of several events; what does not fit goes into the next one.
  public static let batchBytesMax = 1 << 20
  /// The first pause after a failed post, and the longest.
  public static let backoffMilliseconds = 500...30_000
  /// How often a queue that all nodes share is asked for events: the time that an event of another node waits at most.
  public static let pollMilliseconds = 200
  /// The same for a node while another one delivers: how long it takes at most to notice that the lease is free.
  public static let takeoverPollMilliseconds = 1000
  /// How often a node that posts or waits renews its lease on that queue, which ends after 6 s.
  public static let leaseRenewalMilliseconds = 2000
}
