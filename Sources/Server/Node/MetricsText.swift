import Realtime

/// Writes counts as Prometheus text, exposition format 0.0.4.
enum MetricsText {
  static func make(_ counts: [UInt64], workers: Int) -> [UInt8] {
    var text = ""
    func value(_ count: Count) -> UInt64 { counts[count.rawValue] }
    func metric(_ name: String, _ type: String, _ help: String, _ samples: [(labels: String, count: Count)]) {
      text += "# HELP \(name) \(help)\n# TYPE \(name) \(type)\n"
      for sample in samples { text += "\(name)\(sample.labels) \(value(sample.count))\n" }
    }
    metric(
      "roost_connections", "gauge", "Open client connections.",
      [
        ("{transport=\"websocket\"}", .webSockets), ("{transport=\"sse\"}", .eventStreams),
        ("{transport=\"poll\"}", .pollers),
      ])
    metric("roost_rooms", "gauge", "Rooms with local members, summed over workers.", [("", .rooms)])
    metric("roost_messages_received_total", "counter", "Messages taken from clients.", [("", .received)])
    metric("roost_messages_delivered_total", "counter", "Messages given to connections.", [("", .delivered)])
    metric("roost_bytes_sent_total", "counter", "Bytes written to clients.", [("", .bytesSent)])
    metric("roost_queue_bytes", "gauge", "Bytes waiting for slow readers.", [("", .queueBytes)])
    metric("roost_slow_consumers_total", "counter", "Connections closed with 4408.", [("", .slowConsumers)])
    text += "# HELP roost_redis_up 1 while Redis is reached by every worker; 0 else, and without Redis.\n"
    text += "# TYPE roost_redis_up gauge\nroost_redis_up \(value(.redisUp) == UInt64(workers) ? 1 : 0)\n"
    metric("roost_redis_commands_total", "counter", "Commands sent to Redis.", [("", .redisCommands)])
    metric("roost_redis_reconnects_total", "counter", "Connections to Redis made again.", [("", .redisReconnects)])
    metric(
      "roost_redis_deaf_subscriptions_total", "counter",
      "Subscribed connections replaced because what was published did not arrive.", [("", .redisDeaf)])
    metric(
      "roost_gap_messages_total", "counter", "Messages found missing, by what became of them.",
      [
        ("{outcome=\"recovered\"}", .gapRecovered), ("{outcome=\"lost\"}", .gapLost),
      ])
    metric(
      "roost_slow_messages_total", "counter",
      "Messages that slow readers did not get, by the room's rule or because they were outside of rooms.",
      [
        ("{outcome=\"dropped\"}", .slowDropped), ("{outcome=\"conflated\"}", .slowConflated),
      ])
    metric(
      "roost_reads_paused_total", "counter", "Connections read no further until the broker had answered.",
      [("", .readsPaused)])
    metric(
      "roost_dedupe_forgotten_total", "counter",
      "Ids of messages forgotten before their five minutes, because more came than dedupe-memory holds.",
      [("", .dedupeForgotten)])
    metric(
      "roost_webhook_deliveries_total", "counter", "Webhook calls, by outcome.",
      [
        ("{outcome=\"delivered\"}", .webhookDelivered), ("{outcome=\"failed\"}", .webhookFailed),
      ])
    metric("roost_ghosts_total", "counter", "Connections dropped because they answered no ping.", [("", .ghosts)])
    metric(
      "roost_protocol_errors_total", "counter", "WebSockets failed for a breach of RFC 6455.", [("", .protocolErrors)])
    metric(
      "roost_requests_refused_total", "counter", "Requests that were not HTTP, or too large.", [("", .requestsRefused)])
    metric("roost_connections_refused_total", "counter", "WebSockets closed with 1013.", [("", .connectionsRefused)])
    metric(
      "roost_auth_failures_total", "counter", "Connections closed with 4401: wrong, missing or expired token.",
      [("", .authenticationFailures)])
    metric(
      "roost_log_dropped_total", "counter", "Log lines dropped because standard error was not read.",
      [("", .logDropped)])
    text += "# HELP roost_limit_refusals_total Refused by a limit, by its name.\n"
    text += "# TYPE roost_limit_refusals_total counter\n"
    for limit in LimitName.allCases {
      text += "roost_limit_refusals_total{limit=\"\(limit.label)\"} \(counts[Count.refusals + limit.rawValue])\n"
    }
    text += histogram(counts)
    metric("process_resident_memory_bytes", "gauge", "Resident memory.", [("", .residentBytes)])
    metric("process_open_fds", "gauge", "Open file descriptors.", [("", .openDescriptors)])
    return Array(text.utf8)
  }

  private static func histogram(_ counts: [UInt64]) -> String {
    let name = "roost_delivery_seconds"
    var text = "# HELP \(name) From a publish's acceptance to its delivery on this host.\n# TYPE \(name) histogram\n"
    var cumulative: UInt64 = 0
    for (i, bound) in Histogram.bounds.enumerated() {
      cumulative += counts[Count.deliveryBuckets.rawValue + i]
      text += "\(name)_bucket{le=\"\(Double(bound) / 1000)\"} \(cumulative)\n"
    }
    cumulative += counts[Count.deliveryBuckets.rawValue + Histogram.bounds.count]
    text += "\(name)_bucket{le=\"+Inf\"} \(cumulative)\n"
    text += "\(name)_sum \(Double(counts[Count.deliveryMilliseconds.rawValue]) / 1000)\n"
    return text + "\(name)_count \(cumulative)\n"
  }
}
