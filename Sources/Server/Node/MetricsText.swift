import Realtime

/// The metrics of a node, each declared once, and their text in Prometheus' exposition format 0.0.4.
enum MetricsText {
  private enum Kind: String { case counter, gauge }

  private struct Metric {
    let name: String
    let kind: Kind
    let help: String
    let samples: [(labels: String, count: Count)]

    init(_ name: String, _ kind: Kind, _ help: String, _ count: Count) {
      self.init(name, kind, help, [("", count)])
    }

    init(_ name: String, _ kind: Kind, _ help: String, _ samples: [(labels: String, count: Count)]) {
      (self.name, self.kind, self.help, self.samples) = (name, kind, help, samples)
    }
  }

  private static let traffic = [
    Metric(
      "roost_connections", .gauge, "Open client connections.",
      [
        ("{transport=\"websocket\"}", .webSockets), ("{transport=\"sse\"}", .eventStreams),
        ("{transport=\"poll\"}", .pollers), ("{transport=\"socketio\"}", .socketIO),
      ]),
    Metric("roost_rooms", .gauge, "Rooms with local members, summed over workers.", .rooms),
    Metric("roost_messages_received_total", .counter, "Messages taken from clients.", .received),
    Metric("roost_messages_delivered_total", .counter, "Messages given to connections.", .delivered),
    Metric("roost_bytes_sent_total", .counter, "Bytes written to clients.", .bytesSent),
    Metric("roost_queue_bytes", .gauge, "Bytes waiting for slow readers.", .queueBytes),
    Metric("roost_slow_consumers_total", .counter, "Connections closed with 4408.", .slowConsumers),
    Metric(
      "roost_gap_messages_total", .counter, "Messages found missing, by what became of them.",
      [("{outcome=\"recovered\"}", .gapRecovered), ("{outcome=\"lost\"}", .gapLost)]),
    Metric(
      "roost_slow_messages_total", .counter,
      "Messages that slow readers did not get, by the room's rule or because they were outside of rooms.",
      [("{outcome=\"dropped\"}", .slowDropped), ("{outcome=\"conflated\"}", .slowConflated)]),
    Metric(
      "roost_dedupe_forgotten_total", .counter,
      "Ids of messages forgotten before their five minutes, because more came than dedupe-memory holds.",
      .dedupeForgotten),
    Metric(
      "roost_backpressure_pauses_total", .counter, "Connections read no further until the broker had answered.",
      .readsPaused),
    Metric(
      "roost_webhook_deliveries_total", .counter,
      "Events that the webhook has taken or that were dropped, and posts that failed and are repeated.",
      [
        ("{outcome=\"delivered\"}", .webhookDelivered), ("{outcome=\"failed\"}", .webhookFailed),
        ("{outcome=\"dropped\"}", .webhookDropped),
      ]),
    Metric("roost_webhook_queue_events", .gauge, "Events that wait for the webhook.", .webhookWaiting),
    Metric(
      "roost_webhook_lag_seconds", .gauge, "How long the oldest event has waited, summed over workers.",
      .webhookLagSeconds),
    Metric(
      "roost_incoming_hooks_total", .counter, "Deliveries to /hooks, by outcome.",
      [("{outcome=\"published\"}", .hooksPublished), ("{outcome=\"refused\"}", .hooksRefused)]),
    Metric(
      "roost_forwarded_requests_total", .counter, "Requests for connections of other nodes, by outcome.",
      [
        ("{outcome=\"answered\"}", .forwardedAnswered), ("{outcome=\"not_found\"}", .forwardedAbsent),
        ("{outcome=\"unavailable\"}", .forwardedUnavailable),
      ]),
    Metric(
      "roost_webhook_calls_total", .counter,
      "Questions and requests to the backend: answered, failed, or skipped because it fails or has too much to answer.",
      [
        ("{kind=\"ask\",outcome=\"answered\"}", .asksAnswered), ("{kind=\"ask\",outcome=\"failed\"}", .asksFailed),
        ("{kind=\"ask\",outcome=\"skipped\"}", .asksSkipped),
        ("{kind=\"request\",outcome=\"answered\"}", .requestsAnswered),
        ("{kind=\"request\",outcome=\"failed\"}", .requestsFailed),
        ("{kind=\"request\",outcome=\"skipped\"}", .requestsSkipped),
      ]),
    Metric(
      "roost_webhook_circuit_open", .gauge, "Workers that send the backend nothing for now, because it has failed.",
      [("{kind=\"ask\"}", .asksPaused), ("{kind=\"request\"}", .requestsPaused)]),
  ]

  private static let redis = [
    Metric("roost_redis_up", .gauge, "1 while every worker reaches Redis; 0 else, and without Redis.", .redisUp),
    Metric("roost_redis_commands_total", .counter, "Commands sent to Redis.", .redisCommands),
    Metric("roost_redis_reconnects_total", .counter, "Connections to Redis made again.", .redisReconnects),
    Metric(
      "roost_redis_subscription_stalls_total", .counter,
      "Subscribed connections replaced because what was published did not arrive.", .redisDeaf),
  ]

  private static let faults = [
    Metric("roost_ping_timeouts_total", .counter, "Connections dropped because they answered no ping.", .ghosts),
    Metric(
      "roost_protocol_errors_total", .counter,
      "Connections closed for a breach of their protocol: RFC 6455, Engine.IO, Socket.IO.", .protocolErrors),
    Metric(
      "roost_requests_refused_total", .counter,
      "Requests that were not HTTP, or too large; refused connects and events of Socket.IO.", .requestsRefused),
    Metric("roost_connections_refused_total", .counter, "Connections refused with 1013.", .connectionsRefused),
    Metric(
      "roost_auth_failures_total", .counter, "Connections closed with 4401: wrong, missing or expired token.",
      .authenticationFailures),
    Metric(
      "roost_trace_spans_total", .counter,
      "Spans that the collector has taken, or that were dropped: too many waited, or it did not take them.",
      [("{outcome=\"exported\"}", .spansExported), ("{outcome=\"dropped\"}", .spansDropped)]),
    Metric(
      "roost_log_dropped_total", .counter, "Log lines dropped because standard error was not read.", .logDropped),
  ]

  private static let process = [
    Metric("process_resident_memory_bytes", .gauge, "Resident memory.", .residentBytes),
    Metric("process_open_fds", .gauge, "Open file descriptors.", .openDescriptors),
    Metric("process_max_fds", .gauge, "File descriptors that may be open.", .maxDescriptors),
  ]

  /// Writes the counts of a node, in the order of `Count`, summed over so many workers.
  static func make(_ counts: [UInt64], workers: Int) -> [UInt8] {
    var counts = counts
    // Each worker has counted 1 that reaches Redis.
    counts[Count.redisUp.rawValue] = counts[Count.redisUp.rawValue] == UInt64(workers) ? 1 : 0
    let histograms = HistogramName.allCases.map { histogram($0, counts) }
    let texts =
      [build, text(traffic + redis + faults, counts), refusals(counts)] + histograms + [text(process, counts)]
    return texts.flatMap { Array($0.utf8) }
  }

  private static func text(_ metrics: [Metric], _ counts: [UInt64]) -> String {
    var text = ""
    for metric in metrics {
      text += "# HELP \(metric.name) \(metric.help)\n# TYPE \(metric.name) \(metric.kind.rawValue)\n"
      for sample in metric.samples { text += "\(metric.name)\(sample.labels) \(counts[sample.count.rawValue])\n" }
    }
    return text
  }

  private static func refusals(_ counts: [UInt64]) -> String {
    let name = "roost_limit_refusals_total"
    var text = "# HELP \(name) Refused by a limit, by its name.\n# TYPE \(name) counter\n"
    for limit in LimitName.allCases {
      text += "\(name){limit=\"\(limit.label)\"} \(counts[Count.refusals + limit.rawValue])\n"
    }
    return text
  }

  private static func histogram(_ name: HistogramName, _ counts: [UInt64]) -> String {
    let (metric, help) = description(of: name)
    var text = "# HELP \(metric) \(help)\n# TYPE \(metric) histogram\n"
    var cumulative: UInt64 = 0
    for (i, bound) in name.bounds.enumerated() {
      cumulative += counts[name.place + 1 + i]
      text += "\(metric)_bucket{le=\"\(seconds(bound))\"} \(cumulative)\n"
    }
    cumulative += counts[name.place + 1 + name.bounds.count]
    text += "\(metric)_bucket{le=\"+Inf\"} \(cumulative)\n"
    text += "\(metric)_sum \(seconds(counts[name.place]))\n"
    return text + "\(metric)_count \(cumulative)\n"
  }

  private static func seconds(_ nanoseconds: UInt64) -> Double { Double(nanoseconds) / 1_000_000_000 }

  private static func description(of name: HistogramName) -> (metric: String, help: String) {
    switch name {
    case .delivery: ("roost_delivery_seconds", "From a publish's acceptance to its delivery on this host.")
    case .join: ("roost_join_seconds", "From a join to its answer, by those that were answered joined.")
    case .recovery: ("roost_recovery_seconds", "From a join with since to the moment when nothing is missing any more.")
    case .redis: ("roost_redis_round_trip_seconds", "From a command to its reply, in ticks of the event loop.")
    case .webhook: ("roost_webhook_delivery_seconds", "From a post of events to its answer or failure.")
    }
  }

  private static let build =
    "# HELP roost_build_info The version that runs here; always 1.\n# TYPE roost_build_info gauge\n"
    + "roost_build_info{version=\"\(Node.version)\"} 1\n"
}
