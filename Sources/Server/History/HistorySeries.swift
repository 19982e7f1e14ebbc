import TimeCore

/// What a node remembers of each interval, one word each. The buckets of two histograms follow them in a sample.
enum HistorySeries: Int, CaseIterable, Sendable {
  case websocket, sse, poll, socketio
  case rooms, received, delivered, bytesSent, queueBytes
  case errors, refusals, slowConsumers, lostMessages
  case redisDown, redisCommands
  case webhookWaiting, webhookDelivered, webhookFailed, webhookDropped, webhookLag
  case processorTime, residentBytes

  /// The name in JSON.
  var name: StaticString {
    switch self {
    case .websocket: "websocket"
    case .sse: "sse"
    case .poll: "poll"
    case .socketio: "socketio"
    case .rooms: "rooms"
    case .received: "messagesIn"
    case .delivered: "messagesOut"
    case .bytesSent: "bytesSent"
    case .queueBytes: "queueBytes"
    case .errors: "errors"
    case .refusals: "refusals"
    case .slowConsumers: "slowConsumers"
    case .lostMessages: "lostMessages"
    case .redisDown: "redisDown"
    case .redisCommands: "redisCommands"
    case .webhookWaiting: "webhookWaiting"
    case .webhookDelivered: "webhookDelivered"
    case .webhookFailed: "webhookFailed"
    case .webhookDropped: "webhookDropped"
    case .webhookLag: "webhookLag"
    case .processorTime: "processorTime"
    case .residentBytes: "memory"
    }
  }

  /// Whether a sample holds it as it was at the end of the interval; of the others it holds what the interval added.
  var isLevel: Bool {
    switch self {
    case .websocket, .sse, .poll, .socketio, .rooms, .queueBytes, .redisDown, .webhookWaiting, .webhookLag,
      .residentBytes:
      true
    default: false
    }
  }

  /// Whether the cluster's value is the largest of its nodes' and not their sum.
  var isLargest: Bool { self == .webhookLag }
}

/// The histograms of which a node remembers what each interval added to their buckets.
enum HistoryHistogram: CaseIterable, Sendable {
  /// From a publish's acceptance to its delivery.
  case delivery
  /// From a command to Redis to its reply.
  case redis

  /// Upper bounds of the buckets in nanoseconds; one more bucket has what is above.
  var bounds: [UInt64] {
    switch self {
    case .delivery: DurationHistogram.millisecondBounds
    case .redis: DurationHistogram.answerBounds
    }
  }

  /// The name in JSON.
  var name: StaticString {
    switch self {
    case .delivery: "delivery"
    case .redis: "redis"
    }
  }

  /// The places of the buckets in a sample's words.
  var places: Range<Int> {
    let start = HistorySeries.allCases.count
    let ofDelivery = HistoryHistogram.delivery.bounds.count + 1
    return switch self {
    case .delivery: start..<(start + ofDelivery)
    case .redis: (start + ofDelivery)..<(start + ofDelivery + bounds.count + 1)
    }
  }
}
