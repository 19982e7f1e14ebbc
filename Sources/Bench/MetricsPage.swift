import CCurl
import ClientCore
import Transfers

/// Asks a server for its metrics, waiting for the answer: only before and after a load runs.
enum MetricsPage {
  private static let timeoutMilliseconds = 2000
  private static let bytesMax = 1 << 20

  /// Returns `process_resident_memory_bytes` of `GET /metrics`; nil when the server does not say.
  static func residentBytes(_ url: ServerURL) -> Int? {
    guard let text = get(url) else { return nil }
    let name = "process_resident_memory_bytes "
    guard let line = text.split(separator: "\n").first(where: { $0.hasPrefix(name) }) else { return nil }
    return Double(line.dropFirst(name.count)).map { Int($0) }
  }

  private static func get(_ url: ServerURL) -> String? {
    guard let handle = curl_easy_init() else { return nil }
    defer { curl_easy_cleanup(handle) }
    _ = roost_curl_set_string(handle, CURLOPT_URL, "\(url.text)/metrics")
    _ = roost_curl_set_long(handle, CURLOPT_TIMEOUT_MS, timeoutMilliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    Transfer.trustNamedAuthorities(handle)
    guard let body = try? Transfer.perform(handle, bytesMax: bytesMax), roost_curl_status(handle) == 200 else {
      return nil
    }
    return String(decoding: body, as: UTF8.self)
  }
}
