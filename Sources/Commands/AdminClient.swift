import CCurl
import ClientCore
import JSONCore
import Transfers

/// Talks to the admin endpoint of one node, one request after the other over one connection.
final class AdminClient {
  /// Bytes of an answer; a longer one is refused rather than filling the memory.
  private static let answerBytesMax = 64 << 20

  private let handle: UnsafeMutableRawPointer
  private let url: ServerURL
  private let hasToken: Bool
  private let timeoutMilliseconds: Int
  private var headers: UnsafeMutablePointer<curl_slist>?

  init(_ settings: ClientSettings, version: String) throws(CommandFailure) {
    let url = try settings.server
    guard let handle = curl_easy_init() else { throw CommandFailure(ExitStatus.unavailable, "libcurl did not start") }
    self.handle = handle
    self.url = url
    hasToken = settings.adminToken != nil
    timeoutMilliseconds = settings.timeoutMilliseconds
    // An empty Expect: a body goes out at once, without asking first (RFC 9110 section 10.1.1).
    for header in ["Content-Type: application/json", "Accept: application/json", "Expect:"] {
      headers = curl_slist_append(headers, header)
    }
    if let token = settings.adminToken { headers = curl_slist_append(headers, "Authorization: Bearer \(token)") }
    _ = roost_curl_set_headers(handle, headers)
    _ = roost_curl_set_string(handle, CURLOPT_USERAGENT, "roost/\(version)")
    _ = roost_curl_set_long(handle, CURLOPT_TIMEOUT_MS, settings.timeoutMilliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, settings.timeoutMilliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    Transfer.trustNamedAuthorities(handle)
    // Rooms may be called `.` and `..`.
    _ = roost_curl_set_long(handle, CURLOPT_PATH_AS_IS, 1)
  }

  deinit {
    curl_easy_cleanup(handle)
    curl_slist_free_all(headers)
  }

  /// Asks for `/admin/` and `path`, which is percent-encoded already, and returns the body of a 2xx answer.
  func get(_ path: String) throws(CommandFailure) -> [UInt8] {
    _ = roost_curl_set_long(handle, CURLOPT_HTTPGET, 1)
    return try perform(path)
  }

  /// Sends a JSON body to `/admin/` and `path` and returns the body of a 2xx answer.
  func post(_ path: String, _ body: [UInt8]) throws(CommandFailure) -> [UInt8] {
    _ = roost_curl_set_long(handle, CURLOPT_POSTFIELDSIZE, body.count)
    _ = roost_curl_set_body(handle, body)
    return try perform(path)
  }

  private func perform(_ path: String) throws(CommandFailure) -> [UInt8] {
    _ = roost_curl_set_string(handle, CURLOPT_URL, "\(url.text)/admin/\(path)")
    let tried = "\(url.text)/admin/\(path.prefix { $0 != "?" })"
    let body: [UInt8]
    do throws(TransferFault) {
      body = try Transfer.perform(handle, bytesMax: AdminClient.answerBytesMax)
    } catch {
      throw problem(error).failure(url, tried: url.text)
    }
    try AdminAnswer.check(
      status: roost_curl_status(handle), location: roost_curl_redirect(handle).map { String(cString: $0) }, body: body,
      from: url, tried: tried, hasToken: hasToken)
    guard (try? JSONScanner.validate(body.span)) != nil else {
      throw CommandFailure(
        ExitStatus.unexpectedAnswer,
        "\(tried) answered with what is no JSON, not as a Roost node does; check host, port and path of --url")
    }
    return body
  }

  private func problem(_ fault: TransferFault) -> ConnectionProblem {
    switch fault.kind {
    case .unknownHost: .unknownHost
    case .timedOut: .silent(milliseconds: timeoutMilliseconds)
    case .untrusted: .untrusted(fault.certificateProblem ?? fault.description)
    case .noTLS: .noTLS(fault.description)
    case .notHTTP: .notHTTP(fault.description)
    case .closed: .closed
    case .tooLong, .tooManyRequests, .unreachable: .unreachable(fault.description)
    }
  }
}
