import JSONCore
import LoopCore
import Realtime
import TimeCore
import Transfers

/// Posts the spans of a node to a collector: OTLP over HTTP in JSON, one post at a time, by libcurl on the loop, which it never
/// blocks. What does not fit into the tracer's queue meanwhile is dropped there. Confined to the loop's thread.
///
/// As OTLP 1.x asks: what was answered with 429, 502, 503 or 504, or not at all, is posted again after a pause that doubles;
/// what was answered with anything else is not.
public final class SpanExporter {
  /// Takes a line for the log; the flag is whether it is a warning.
  public typealias Log = (_ isWarning: Bool, String) -> Void

  private enum Phase { case idle, posting, pausing, ended }

  /// The body of a request, and the spans in it.
  private struct Batch {
    let body: [UInt8]
    let count: Int
    var attempts = 0
  }

  private let loop: EventLoop
  private let url: String
  private let headers: [[UInt8]]
  private let text: SpanText
  private let tracer: Tracer
  private let exchanges: HTTPExchanges
  private let log: Log
  private var phase = Phase.idle
  /// The batch that is posted, or waits to be posted again.
  private var batch: Batch?
  private var isFailing = false
  /// Called when nothing is left, once it is to end.
  private var done: (() -> Void)?
  /// Spans that the collector has taken.
  public private(set) var exported: UInt64 = 0
  private var refused: UInt64 = 0

  /// Makes an exporter; it connects with the first post.
  ///
  /// - Parameters:
  ///   - url: of the collector. Without a path it gets that of OTLP, `/v1/traces`.
  ///   - version: of the program.
  ///   - node: the id of the node.
  public init(_ loop: EventLoop, url: String, tracer: Tracer, node: [UInt8], version: String, log: @escaping Log) {
    (self.loop, self.tracer, self.log) = (loop, tracer, log)
    self.url = SpanExporter.complete(url)
    headers = ["Content-Type: application/json", "User-Agent: Roost/\(version)", "Expect:"].map { Array($0.utf8) }
    text = SpanText(node: node, version: version)
    exchanges = HTTPExchanges(loop, connectionsMax: 1, answerBytesMax: ExportLimits.answerBytesMax)
  }

  /// A URL with the path of OTLP, where it has none (OTLP 1.x, OTLP/HTTP Request).
  public static func complete(_ url: String) -> String {
    // The scheme, nothing, the host, the path.
    let parts = url.split(separator: "/", maxSplits: 3, omittingEmptySubsequences: false)
    guard parts.count < 4 || parts[3].isEmpty else { return url }
    return url + (parts.count < 4 ? "/v1/traces" : "v1/traces")
  }

  /// Spans that were dropped: too many waited, or the collector did not take them.
  public var dropped: UInt64 { tracer.dropped + refused }

  /// Begins to export.
  public func start() {
    tracer.filled = { [weak self] in self?.export() }
    repeatedly()
  }

  private func repeatedly() {
    guard phase != .ended else { return }
    export()
    loop.after(ExportLimits.interval) { [weak self] in self?.repeatedly() }
  }

  /// Posts the oldest spans, unless a post is under way or was a moment ago.
  private func export() {
    guard phase == .idle, tracer.count > 0 else { return }
    let spans = tracer.take()
    batch = Batch(body: text.body(of: spans), count: spans.count)
    post()
  }

  private func post() {
    guard let body = batch?.body else { return }
    phase = .posting
    let request = HTTPRequest(
      url: url, headers: headers, body: body, timeout: ExportLimits.timeout, keepsBody: true
    ) { [weak self] in self?.answered($0) }
    exchanges.start(request) {}
  }

  private func answered(_ result: Result<TransferAnswer, TransferFault>) {
    guard phase != .ended, var batch else { return }
    batch.attempts += 1
    self.batch = batch
    switch result {
    case .success(let answer) where answer.isSuccess:
      let rejected = min(SpanExporter.rejected(answer.body), batch.count)
      exported += UInt64(batch.count - rejected)
      refused += UInt64(rejected)
      note(nil)
      finish()
    case .success(let answer):
      note("it answered with status \(answer.status)")
      if [429, 502, 503, 504].contains(answer.status) { retry(batch) } else { giveUp(batch) }
    case .failure(let fault):
      note(fault.description)
      retry(batch)
    }
  }

  /// Spans that the collector has not taken, by an answer that says so (OTLP 1.x, Partial Success).
  private static func rejected(_ body: [UInt8]) -> Int {
    guard let answer = try? JSONValue.parse(body.span), let count = answer["partialSuccess"]?["rejectedSpans"] else {
      return 0
    }
    // A 64 bit integer is a string in this JSON; many write a number.
    return max(0, count.asInt ?? count.asString.flatMap { Int($0) } ?? 0)
  }

  private func retry(_ batch: Batch) {
    guard batch.attempts < ExportLimits.attemptsMax, done == nil else { return giveUp(batch) }
    phase = .pausing
    let pause = ExportLimits.retryPause * (1 << (batch.attempts - 1))
    // Each node at its own moment.
    loop.after(pause / 2 + pause * Int.random(in: 0...50) / 100) { [weak self] in
      guard let self, phase == .pausing else { return }
      post()
    }
  }

  private func giveUp(_ batch: Batch) {
    refused += UInt64(batch.count)
    finish()
  }

  /// Goes on with the next batch, after a pause.
  private func finish() {
    batch = nil
    phase = .pausing
    if done != nil, isFailing || tracer.count == 0 { return end() }
    loop.after(ExportLimits.pause) { [weak self] in
      guard let self, phase == .pausing else { return }
      phase = .idle
      if done != nil, tracer.count == 0 { return end() }
      if tracer.count >= TraceLimits.batchMax || done != nil { export() }
    }
  }

  /// One line when the collector begins to fail, and one when it is back.
  private func note(_ problem: String?) {
    guard isFailing != (problem != nil) else { return }
    isFailing = problem != nil
    if let problem {
      log(true, "the collector of traces fails; spans wait, and are dropped when too many do: \(problem)")
    } else {
      log(false, "the collector of traces is back")
    }
  }

  // MARK: The end

  /// Posts what is left, as long as the collector takes it, then ends.
  public func stop(within time: Interval, _ done: @escaping () -> Void) {
    guard phase != .ended else { return done() }
    self.done = done
    if phase == .idle { export() }
    guard !isFailing, phase != .idle else { return end() }
    loop.after(time) { [weak self] in self?.end() }
  }

  private func end() {
    guard phase != .ended else { return }
    phase = .ended
    exchanges.close()
    let done = done
    self.done = nil
    done?()
  }
}

@available(*, unavailable)
extension SpanExporter: Sendable {}
