/// The settings of traces.
public struct TracingSettings: Sendable {
  /// Where spans are posted, as OTLP over HTTP; nil: none are made.
  public var url: String?
  /// Of the publishes that are part of no trace, the share that begins one: 0 to 1. None by default: a trace begins where the
  /// work begins, which is with the one who publishes, and only its sender can find it again.
  public var sample = 0.0

  /// What its settings demand of each other and do not get; nil when they agree.
  var contradiction: String? {
    url == nil && sample > 0 ? "--otlp-sample needs a collector to send traces to; expected --otlp-url" : nil
  }
}

/// The options of traces, in the table of all settings.
enum TracingOptions {
  static let all: [Option<ServerSettings>] = Option.group(
    "Tracing",
    [
      .text(
        "otlpUrl", \.tracing.url, "URL", "collector of traces, OTLP over HTTP: http://host:4318", whenUnset: "none",
        problem: ServerSettings.webProblem
      ).secret(),
      .share(
        "otlpSample", \.tracing.sample, "share of the publishes without a traceparent that begin a trace, 0 to 1"),
    ])
}
