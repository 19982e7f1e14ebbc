import TimeCore

/// The fixed limits of the export of spans.
public enum ExportLimits {
  /// How long a span waits at most for others that are posted with it.
  static let interval = Interval.seconds(1)
  /// The least time between two posts: with `TraceLimits.batchMax` it bounds what the export costs the loop to 5,120 spans a
  /// second, whatever clients ask for.
  static let pause = Interval.milliseconds(50)
  /// From a post to the end of its answer, as OTLP's own exporters have it. A collector that is slower is one that fails.
  static let timeout = Interval.seconds(10)
  /// Posts of the same spans before they are given up: half a minute with the pauses between them.
  static let attemptsMax = 6
  /// The first pause after a failure; each is twice the one before.
  static let retryPause = Interval.seconds(1)
  /// Bytes of an answer, which is a few words.
  static let answerBytesMax = 16 << 10
  /// How long a node that ends waits for the collector to take its last spans.
  public static let stopTime = Interval.seconds(2)
}
