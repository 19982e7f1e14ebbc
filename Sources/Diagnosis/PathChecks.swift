import CCurl
import ClientCore
import Glibc
import LoopCore
import Transfers

/// Walks the way of a client to a node, through whatever stands between: proxies, balancers, TLS.
final class PathChecks {
  /// How long one look may take that should be over at once.
  private static let milliseconds = 5000
  /// A certificate that ends within so many days is reported.
  private static let expiryDays = 21

  private let url: ServerURL
  private let token: String?
  private let idleMilliseconds: Int?

  /// - Parameter idleMilliseconds: for how long a stream is left alone; nil: it is not tried.
  init(_ url: ServerURL, token: String?, idleMilliseconds: Int?) {
    self.url = url
    self.token = token
    self.idleMilliseconds = idleMilliseconds
  }

  func all(_ progress: (String) -> Void) -> [Finding] {
    let reached = reach()
    guard reached.last?.verdict != .fail else { return reached }
    progress("asking for a WebSocket")
    var findings = reached + [upgrade()]
    progress("asking for an event stream")
    let stream = stream()
    findings.append(stream)
    guard let idleMilliseconds, stream.verdict == .ok else { return findings }
    progress("leaving a stream alone for \(idleMilliseconds / 1000) s")
    return findings + [idle(idleMilliseconds)]
  }

  private struct Answer {
    let status: Int
    let body: [UInt8]
    let fault: TransferFault?
    let milliseconds: UInt64
    /// When the server's certificate ends, as libcurl says it; nil without TLS.
    let expiry: String?
  }

  private func ask(
    _ path: String, headers: [String] = [], milliseconds: Int = PathChecks.milliseconds, bytesMax: Int = 1 << 16
  ) -> Answer {
    guard let handle = curl_easy_init() else {
      return Answer(status: 0, body: [], fault: .tooManyRequests, milliseconds: 0, expiry: nil)
    }
    defer { curl_easy_cleanup(handle) }
    var list: UnsafeMutablePointer<curl_slist>?
    for header in headers { list = curl_slist_append(list, header) }
    if let token { list = curl_slist_append(list, "Authorization: Bearer \(token)") }
    defer { curl_slist_free_all(list) }
    _ = roost_curl_set_headers(handle, list)
    _ = roost_curl_set_string(handle, CURLOPT_URL, url.text + path)
    _ = roost_curl_set_long(handle, CURLOPT_TIMEOUT_MS, milliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    _ = roost_curl_set_long(handle, CURLOPT_CERTINFO, 1)
    // As browsers open WebSockets.
    _ = roost_curl_set_long(handle, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    Transfer.trustNamedAuthorities(handle)
    let began = Clock.monotonicNanoseconds()
    var (body, fault): ([UInt8], TransferFault?) = ([], nil)
    do throws(TransferFault) { body = try Transfer.perform(handle, bytesMax: bytesMax) } catch { fault = error }
    // Safe because the text is copied before the handle ends.
    let expiry = roost_curl_certificate(handle, "Expire date").map { String(cString: $0) }
    return Answer(
      status: roost_curl_status(handle), body: body, fault: fault,
      milliseconds: (Clock.monotonicNanoseconds() - began) / 1_000_000, expiry: expiry)
  }

  private func reach() -> [Finding] {
    let answer = ask("/healthz")
    guard answer.fault == nil else {
      let reason = answer.fault?.certificateProblem ?? answer.fault?.description ?? ""
      return [
        .fail(
          "\(url.text)", reason,
          answer.fault?.kind == .untrusted
            ? "install the whole chain of certificates (fullchain.pem), for this name"
            : "check host, port and firewall, and that a node or a proxy listens there")
      ]
    }
    guard answer.status == 200, answer.body == Array("ok\n".utf8) else {
      return [
        .fail(
          "\(url.text)/healthz", "answered \(answer.status), not as a node does",
          "the proxy must pass the path on, or give the path that it puts before it by --url")
      ]
    }
    var findings: [Finding] = [.ok("\(url.text)", "a node answers within \(answer.milliseconds) ms")]
    if let text = answer.expiry { findings.append(Self.certificate(text, now: time(nil))) }
    let ready = ask("/readyz")
    let words = String(decoding: ready.body, as: UTF8.self).split(whereSeparator: \.isNewline).first.map(String.init)
    findings.append(
      ready.status == 200
        ? .ok("readiness", "ready")
        : .warn(
          "readiness", words ?? "answered \(ready.status)", "the log of the node has the reason; see also --redis"))
    return findings
  }

  /// - Parameter text: such as `Dec  1 12:00:00 2027 GMT`.
  static func certificate(_ text: String, now: time_t) -> Finding {
    let end = curl_getdate(text, nil)
    guard end >= 0 else { return .ok("certificate", "valid until \(text)") }
    let days = (end - now) / 86_400
    let seen = "valid for \(days) more days, until \(text)"
    guard days < expiryDays else { return .ok("certificate", seen) }
    return .warn("certificate", seen, "renew it, and send SIGHUP to a node that holds it, or reload the proxy")
  }

  /// A node sends its welcome at once: the first bytes after the handshake.
  private func upgrade() -> Finding {
    let answer = ask(
      "/ws",
      headers: [
        "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      ], bytesMax: 0)
    switch answer.status {
    case 101 where answer.fault?.isTooLong == true:
      return .ok("WebSocket", "opened, and the first message came within \(answer.milliseconds) ms")
    case 101:
      return .fail(
        "WebSocket", "opened, and then nothing came through",
        "the proxy keeps back what the node sends: see docs/deployment.md for the files that work")
    case 400, 404, 426, 502:
      return .fail(
        "WebSocket", "answered \(answer.status): the upgrade does not reach the node",
        "nginx: proxy_http_version 1.1, and set the headers Upgrade and Connection; see docs/deployment.md")
    case 401, 403:
      return .warn("WebSocket", "answered \(answer.status)", "give a token by --token, or list the origin")
    default:
      return .fail(
        "WebSocket", answer.status == 0 ? "no answer within \(answer.milliseconds) ms" : "answered \(answer.status)",
        "clients will use event streams or polls; see docs/deployment.md for proxies that pass WebSockets on")
    }
  }

  private static let streamPath = "/sse?room=roost-doctor"

  private func stream() -> Finding {
    let answer = ask(Self.streamPath, bytesMax: 0)
    switch answer.status {
    case 200 where answer.fault?.isTooLong == true:
      return .ok("event stream", "the first event came within \(answer.milliseconds) ms: nothing buffers")
    case 401, 403:
      return .warn("event stream", "answered \(answer.status): not tried", "give a token by --token")
    case 0, 200:
      return .fail(
        "event stream", "no event within \(answer.milliseconds) ms: something on the way buffers",
        "nginx: proxy_buffering off; HAProxy: no option http-buffer-request; see docs/deployment.md")
    default: return .fail("event stream", "answered \(answer.status)", "the proxy must pass /sse on to the node")
    }
  }

  /// A stream to which nobody says anything: the node's comment lines, one each ping-interval, must keep it open.
  private func idle(_ milliseconds: Int) -> Finding {
    let answer = ask(Self.streamPath, milliseconds: milliseconds, bytesMax: 1 << 20)
    guard answer.fault?.kind == .timedOut else {
      return .fail(
        "idle time", "a quiet stream was closed after \(answer.milliseconds / 1000) s",
        "raise the proxy's idle time above --ping-interval (nginx: proxy_read_timeout; HAProxy: timeout tunnel and timeout "
          + "server), or lower --ping-interval")
    }
    return .ok("idle time", "a quiet stream stayed open for \(milliseconds / 1000) s")
  }
}
