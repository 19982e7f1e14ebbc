import CCurl
import ClientProtocol
import LoopCore
import Realtime
import TimeCore
import Transfers

/// Posts signed JSON to one URL. Never blocks the loop; confined to its thread.
///
/// Redirects are not followed, proxies of the environment not used, the receiver's certificate is verified. Connections
/// are kept for the next request.
public final class WebhookClient {
  private struct Waiting {
    let request: HTTPRequest
    let deadline: Instant
  }

  private let loop: EventLoop
  private let url: String
  private let secret: [UInt8]
  private let timeout: Interval
  private let agent: String
  private let exchanges: HTTPExchanges
  /// Makes the spans of posts; nil: none are recorded.
  private let tracer: Tracer?
  /// Requests for which no connection is free, the oldest first from `first` on.
  private var waiting: [Waiting] = []
  private var first = 0

  /// Makes a client; it connects with the first request.
  ///
  /// - Parameters:
  ///   - loop: what it runs on; it keeps the client's sockets until it is closed.
  ///   - url: an http or https URL.
  ///   - secrets: the first signs. Not empty.
  ///   - timeout: from `post` to the end of the answer, the time that a request waits for a connection included.
  ///   - agent: the header `User-Agent`, such as `Roost/1.2.3`.
  ///   - tracer: makes the spans of posts; nil: none are recorded.
  public init(
    _ loop: EventLoop, url: String, secrets: [[UInt8]], timeout: Interval, agent: String = "Roost",
    tracer: Tracer? = nil
  ) {
    precondition(secrets.first?.isEmpty == false, "a webhook is signed")
    (self.loop, self.url, self.timeout, self.agent, self.tracer) = (loop, url, timeout, agent, tracer)
    secret = secrets[0]
    exchanges = HTTPExchanges(
      loop, connectionsMax: WebhookLimits.parallelMax, answerBytesMax: WebhookLimits.responseBytesMax)
  }

  /// What is wrong with a URL; nil: requests can be sent there.
  public static func problem(ofURL url: String) -> String? {
    guard let parsed = curl_url() else { return "libcurl has no memory" }
    defer { curl_url_cleanup(parsed) }
    let code = curl_url_set(parsed, CURLUPART_URL, url, 0)
    // Safe because curl_url_strerror returns a static NUL-terminated string, copied at once.
    return code == CURLUE_OK ? nil : String(cString: curl_url_strerror(code))
  }

  /// Requests that are under way or wait.
  public var pendingCount: Int { exchanges.count + waiting.count - first }

  /// Signs a body and posts it. `completion` is called once, on the loop, not inside this call.
  ///
  /// - Parameters:
  ///   - headers: sent besides the client's own. Control characters in them are left out.
  ///   - time: until the end of the answer; nil: the client's timeout, which is the longest.
  ///   - keepsBody: whether the answer's body is wanted. Where it is not, a long one is no fault.
  ///   - traces: what it is part of. The receiver gets the first as `traceparent`; the post's span names the others.
  public func post(
    _ body: [UInt8], headers: [(name: [UInt8], value: [UInt8])] = [], within time: Interval? = nil,
    keepsBody: Bool = true, traces: [TraceContext] = [],
    _ completion: @escaping (Result<TransferAnswer, TransferFault>) -> Void
  ) {
    guard waiting.count - first < WebhookLimits.waitingMax else {
      loop.after(.zero) { completion(.failure(.tooManyRequests)) }
      return
    }
    let signature = WebhookSignature.value(of: body, seconds: Clock.wallMilliseconds() / 1000, secret: secret)
    var lines = [
      "Content-Type: application/json", "User-Agent: \(agent)", "\(WebhookSignature.header): \(signature)",
      // A receiver that does not answer it would hold every long body for a second.
      "Expect:",
    ].map { Array($0.utf8) }
    for header in headers { lines.append(WebhookClient.line(header.name, header.value)) }
    var completion = completion
    if let trace = traces.first {
      let span = tracer.flatMap { PostSpan(trace, links: traces.dropFirst(), $0) }
      lines.append(Array("traceparent: ".utf8) + (span?.context ?? trace).text)
      if let span {
        completion = { [completion] result in
          span.end(result)
          completion(result)
        }
      }
    }
    let time = min(time ?? timeout, timeout)
    let request = HTTPRequest(
      url: url, headers: lines, body: body, timeout: time, keepsBody: keepsBody, completion: completion)
    guard exchanges.count >= WebhookLimits.parallelMax else { return start(request, within: time) }
    let deadline = Clock.instant() + time
    waiting.append(Waiting(request: request, deadline: deadline))
    loop.after(time) { [weak self] in self?.expire() }
  }

  /// Ends all requests; nobody gets an answer any more.
  public func close() {
    waiting = []
    first = 0
    exchanges.close()
  }

  /// A header's line. A value that is empty needs libcurl's own spelling, or it would remove the header.
  static func line(_ name: [UInt8], _ value: [UInt8]) -> [UInt8] {
    func clean(_ bytes: [UInt8]) -> [UInt8] { bytes.filter { $0 >= UInt8(ascii: " ") && $0 != 0x7F } }
    let text = clean(value)
    return clean(name) + (text.isEmpty ? [UInt8(ascii: ";")] : [UInt8(ascii: ":"), UInt8(ascii: " ")] + text)
  }

  private func next() -> Waiting? {
    guard first < waiting.count else { return nil }
    defer {
      first += 1
      if first == waiting.count || first >= WebhookLimits.waitingMax {
        waiting.removeFirst(first)
        first = 0
      }
    }
    return waiting[first]
  }

  private func startWaiting() {
    while exchanges.count < WebhookLimits.parallelMax, let entry = next() {
      let left = entry.deadline - Clock.instant()
      guard left > .zero else {
        entry.request.completion(.failure(.timedOut))
        continue
      }
      start(entry.request, within: left)
    }
  }

  private func start(_ request: HTTPRequest, within time: Interval) {
    var request = request
    request.timeout = time
    exchanges.start(request) { [weak self] in self?.startWaiting() }
  }

  /// Ends requests that have waited too long. Their times differ, so any of them may be one.
  private func expire() {
    let now = Clock.instant()
    guard waiting[first...].contains(where: { $0.deadline <= now }) else { return }
    let due = waiting[first...].filter { $0.deadline <= now }
    waiting = waiting[first...].filter { $0.deadline > now }
    first = 0
    for entry in due { entry.request.completion(.failure(.timedOut)) }
  }
}

@available(*, unavailable)
extension WebhookClient: Sendable {}
