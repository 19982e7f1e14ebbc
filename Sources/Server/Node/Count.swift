import Realtime

/// What a node counts for `/metrics`, one word each, so that workers can share them in a page of memory.
enum Count: Int, CaseIterable {
  case webSockets, eventStreams, pollers, socketIO
  case rooms, received, delivered, bytesSent, queueBytes, slowConsumers
  case redisUp, redisCommands, redisReconnects, redisDeaf
  case gapRecovered, gapLost, slowDropped, slowConflated, readsPaused, dedupeForgotten
  case webhookDelivered, webhookFailed, webhookDropped, webhookWaiting, webhookLagSeconds
  case hooksPublished, hooksRefused
  case asksAnswered, asksFailed, asksSkipped, asksPaused
  case requestsAnswered, requestsFailed, requestsSkipped, requestsPaused
  case residentBytes, openDescriptors
  case ghosts, protocolErrors, requestsRefused, connectionsRefused, authenticationFailures, logDropped
  case forwardedAnswered, forwardedAbsent, forwardedUnavailable
  /// Sum of the histogram, then its buckets; after them one word for each `LimitName`, up to the end.
  case deliveryMilliseconds, deliveryBuckets

  /// The place of the first limit's refusals.
  static let refusals = Count.deliveryBuckets.rawValue + Histogram.bounds.count + 1

  /// Words of one worker.
  static let words = refusals + LimitName.allCases.count

  /// Whether a word is a gauge of Prometheus, which rises and falls, and not a counter.
  static func isLevel(_ word: Int) -> Bool { levels.contains { $0.rawValue == word } }

  private static let levels: [Count] = [
    .webSockets, .eventStreams, .pollers, .socketIO, .rooms, .queueBytes, .redisUp, .residentBytes, .openDescriptors,
    .webhookWaiting, .webhookLagSeconds,
    .asksPaused, .requestsPaused,
  ]
}
