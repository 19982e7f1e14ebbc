/// What a node counts for `/metrics`, one word each, so that workers can share them in a page of memory.
enum Count: Int, CaseIterable {
  case webSockets, eventStreams, pollers
  case rooms, received, delivered, bytesSent, queueBytes, slowConsumers
  case redisUp, redisCommands, redisReconnects, redisDeaf
  case gapRecovered, gapLost, slowDropped, slowConflated, readsPaused
  case webhookDelivered, webhookFailed
  case residentBytes, openDescriptors
  case ghosts, protocolErrors, requestsRefused, connectionsRefused, authenticationFailures
  /// Sum of the histogram, then its buckets up to the end.
  case deliveryMilliseconds, deliveryBuckets

  /// Words of one worker.
  static let words = Count.deliveryBuckets.rawValue + Histogram.bounds.count + 1
}
