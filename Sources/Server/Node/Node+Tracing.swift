import LoopCore
import Realtime
import Settings
import Telemetry

extension NodeSetup {
  /// Makes what records the spans of a hub and exports them; nil: nothing asks for it, and traces only pass through.
  static func makeSpans(_ settings: ServerSettings, _ loop: EventLoop, _ hub: Hub, _ log: Log) -> SpanExporter? {
    guard let url = settings.tracing.url else { return nil }
    let tracer = Tracer(
      share: settings.tracing.sample, brokerSpan: settings.redis == nil ? nil : "redis publish",
      clock: Clock.wallNanoseconds)
    hub.tracer = tracer
    return SpanExporter(loop, url: url, tracer: tracer, node: hub.configuration.nodeID, version: Node.version) {
      if $0 { log.warn($1) } else { log.info($1) }
    }
  }
}

extension Node {
  /// Exports what was recorded until the end, as far as the collector takes it.
  func stopSpans(_ done: @escaping () -> Void) {
    guard let spans else { return done() }
    spans.stop(within: ExportLimits.stopTime, done)
  }
}
