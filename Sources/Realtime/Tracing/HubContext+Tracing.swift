import ClientProtocol

extension HubContext {
  /// Notes the trace of a message that arrived, for the span of its delivery.
  func note(_ trace: TraceContext?, in batch: RoomBatch) {
    guard let tracer, let trace, trace.isSampled else { return }
    batch.note(trace, at: tracer.now)
  }

  /// Records that a batch was delivered: one span, however many messages and members it has.
  func recordDelivery(of batch: RoomBatch, in room: [UInt8], connections: Int) {
    let traces = batch.traces
    guard let first = traces.first else { return }
    recordDelivery(
      first, links: Array(traces.dropFirst()), from: batch.tracedAt,
      [
        ("messaging.destination.name", .text(room)), ("messaging.batch.message_count", .number(batch.entries.count)),
        ("roost.connections", .number(connections)),
      ])
  }

  /// Records that a message outside of rooms was delivered.
  ///
  /// - Parameter start: when it arrived, in nanoseconds since 1970.
  func recordDelivery(_ trace: TraceContext?, from start: UInt64, connections: Int) {
    guard let trace, trace.isSampled else { return }
    recordDelivery(trace, from: start, [("roost.connections", .number(connections))])
  }

  private func recordDelivery(
    _ cause: TraceContext, links: [TraceContext] = [], from start: UInt64,
    _ attributes: [(key: StaticString, value: TraceSpan.Value)]
  ) {
    guard let tracer else { return }
    var span = TraceSpan(
      "deliver", .consumer, cause.at(tracer.makeID()), parent: cause.span, from: start, to: tracer.now)
    span.attributes = [("messaging.system", .text(Array("roost".utf8)))] + attributes
    span.links = links
    tracer.record(span)
  }
}

extension Hub {
  /// Makes the spans of what happens here; nil: nothing is recorded, and traces pass through. Set before the first session.
  public var tracer: Tracer? {
    get { context.tracer }
    set { context.tracer = newValue }
  }
}
