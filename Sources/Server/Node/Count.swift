import Realtime
import TimeCore

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
  case residentBytes, openDescriptors, maxDescriptors
  case ghosts, protocolErrors, requestsRefused, connectionsRefused, authenticationFailures, logDropped
  case spansExported, spansDropped
  case forwardedAnswered, forwardedAbsent, forwardedUnavailable
  /// The first word after those of one count each: the histograms, then one word for each `LimitName`, up to the end.
  case histograms

  /// The place of the first limit's refusals.
  static let refusals = HistogramName.allCases.reduce(Count.histograms.rawValue) { $0 + $1.words }

  /// Words of one worker.
  static let words = refusals + LimitName.allCases.count

  /// Whether a word is a gauge of Prometheus, which rises and falls, and not a counter.
  static func isLevel(_ word: Int) -> Bool { levels.contains { $0.rawValue == word } }

  private static let levels: [Count] = [
    .webSockets, .eventStreams, .pollers, .socketIO, .rooms, .queueBytes, .redisUp, .residentBytes, .openDescriptors,
    .maxDescriptors,
    .webhookWaiting, .webhookLagSeconds,
    .asksPaused, .requestsPaused,
  ]
}

/// The histograms that a node shows: for each the sum in nanoseconds, then its buckets.
enum HistogramName: Int, CaseIterable {
  case delivery, join, recovery, redis, webhook

  /// Upper bounds of the buckets in nanoseconds.
  var bounds: [UInt64] {
    switch self {
    case .delivery, .join, .recovery: DurationHistogram.millisecondBounds
    case .redis, .webhook: DurationHistogram.answerBounds
    }
  }

  /// Words of the sum, of each bound, and of everything above the last one.
  var words: Int { bounds.count + 2 }

  /// The place of the sum, before the buckets.
  var place: Int { HistogramName.allCases[..<rawValue].reduce(Count.histograms.rawValue) { $0 + $1.words } }
}
