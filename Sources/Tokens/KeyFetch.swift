import CCurl
import LoopCore
import Transfers

/// Where a set of keys is published.
enum KeyLocation: Sendable, CustomStringConvertible {
  case file(String)
  case web(String)

  init(_ text: String) {
    self = text.hasPrefix("https://") || text.hasPrefix("http://") ? .web(text) : .file(text)
  }

  /// For the log: a query may hold a secret and is left out, and so is a password before the host.
  var description: String {
    switch self {
    case .file(let path): return path
    case .web(let url):
      let withoutQuery = url.prefix { $0 != "?" && $0 != "#" }
      guard let at = withoutQuery.lastIndex(of: "@"), let scheme = withoutQuery.firstIndex(of: ":") else {
        return String(withoutQuery)
      }
      return "\(withoutQuery[...scheme])//\(withoutQuery[withoutQuery.index(after: at)...])"
    }
  }
}

/// A set of keys as it was found.
struct FetchedKeys: Sendable {
  let bytes: [UInt8]
  /// Milliseconds for which it may be kept, if the answer said so.
  var maxAge: Int?
}

/// Gets a set of keys, from disk or by HTTP. Blocks: for helper threads, and for the start.
enum KeyFetch {
  static func run(_ location: KeyLocation) -> Result<FetchedKeys, KeyFault> {
    switch location {
    case .file(let path):
      do throws(SystemError) {
        return .success(FetchedKeys(bytes: try WholeFile.read(path, bytesMax: TokenLimits.keysBytesMax)))
      } catch {
        return .failure(KeyFault(String(describing: error)))
      }
    case .web(let url): return get(url)
    }
  }

  private static func get(_ url: String) -> Result<FetchedKeys, KeyFault> {
    guard let handle = curl_easy_init() else { return .failure(KeyFault("libcurl did not start")) }
    defer { curl_easy_cleanup(handle) }
    _ = roost_curl_set_string(handle, CURLOPT_URL, url)
    _ = roost_curl_set_string(handle, CURLOPT_USERAGENT, "roost")
    _ = roost_curl_set_string(handle, CURLOPT_PROTOCOLS_STR, "http,https")
    // A redirect must not lead from a verified server to anybody.
    let isSecure = url.hasPrefix("https://")
    _ = roost_curl_set_string(handle, CURLOPT_REDIR_PROTOCOLS_STR, isSecure ? "https" : "http,https")
    _ = roost_curl_set_long(handle, CURLOPT_FOLLOWLOCATION, 1)
    _ = roost_curl_set_long(handle, CURLOPT_MAXREDIRS, 3)
    _ = roost_curl_set_long(handle, CURLOPT_TIMEOUT_MS, TokenLimits.fetchMilliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_CONNECTTIMEOUT_MS, TokenLimits.connectMilliseconds)
    _ = roost_curl_set_long(handle, CURLOPT_NOSIGNAL, 1)
    do throws(TransferFault) {
      let bytes = try Transfer.perform(handle, bytesMax: TokenLimits.keysBytesMax)
      let status = roost_curl_status(handle)
      guard status == 200 else { return .failure(KeyFault("HTTP status \(status)")) }
      return .success(FetchedKeys(bytes: bytes, maxAge: maxAge(handle)))
    } catch {
      return .failure(KeyFault(error.isTooLong ? "more than 256 KiB" : error.description))
    }
  }

  /// `Cache-Control: max-age` in milliseconds (RFC 9111 section 5.2.2.1), or nil.
  private static func maxAge(_ handle: UnsafeMutableRawPointer) -> Int? {
    var header: UnsafeMutablePointer<curl_header>?
    guard curl_easy_header(handle, "Cache-Control", 0, UInt32(CURLH_HEADER), -1, &header) == CURLHE_OK,
      let value = header?.pointee.value
    else { return nil }
    // Safe because libcurl's header values are NUL-terminated and live until the handle is used again.
    return maxAge(inDirectives: String(cString: value))
  }

  /// Finds the directive in a header's value; pure.
  static func maxAge(inDirectives text: String) -> Int? {
    for directive in text.lowercased().split(separator: ",") {
      let word = directive.drop { $0 == " " }
      guard word.hasPrefix("max-age=") else { continue }
      let digits = word.dropFirst(8).prefix { $0.isASCII && $0.isNumber }
      return Int(digits).flatMap { $0 < 1_000_000_000 ? $0 * 1000 : nil }
    }
    return nil
  }
}
