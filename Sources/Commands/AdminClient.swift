import CCurl
import Transfers

/// Talks to the admin endpoint of one node, one request after the other over one connection.
final class AdminClient {
  /// Bytes of an answer; a longer one is refused rather than filling the memory.
  private static let answerBytesMax = 64 << 20

  private let handle: UnsafeMutableRawPointer
  private let url: ServerURL
  private let hasToken: Bool
  private var headers: UnsafeMutablePointer<curl_slist>?

  init(_ settings: ClientSettings, version: String) throws(CommandFailure) {
    guard let url = ServerURL(parsing: settings.url) else {
      throw CommandFailure(ExitStatus.usage, "--url: \"\(settings.url)\" \(ServerURL.problem(settings.url) ?? "")")
    }
    guard let handle = curl_easy_init() else { throw CommandFailure(ExitStatus.unavailable, "libcurl did not start") }
    self.handle = handle
    self.url = url
    hasToken = settings.adminToken != nil
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
    let body: [UInt8]
    do throws(TransferFault) {
      body = try Transfer.perform(handle, bytesMax: AdminClient.answerBytesMax)
    } catch {
      throw CommandFailure(
        ExitStatus.unavailable,
        "cannot reach \(url.text): \(error); start a node there, or name another by --url or ROOST_URL")
    }
    try AdminAnswer.check(status: roost_curl_status(handle), body: body, from: url, hasToken: hasToken)
    return body
  }
}
