import CCurl
import Glibc

/// Runs requests of libcurl's.
public enum Transfer {
  /// Initialises libcurl, once however often it is called. Before there is a second thread: libcurl asks for that.
  public static func prepare() { _ = isPrepared }
  private static let isPrepared = curl_global_init(Int(CURL_GLOBAL_DEFAULT)) == CURLE_OK

  private final class Body {
    let bytesMax: Int
    var bytes: [UInt8] = []

    init(bytesMax: Int) { self.bytesMax = bytesMax }
  }

  /// Does what an easy handle is set up for and returns the body of the answer, whatever its status. Blocks, as long as
  /// the handle's own timeouts allow. Fails as soon as the body has more than `bytesMax` bytes.
  public static func perform(
    _ handle: UnsafeMutableRawPointer, bytesMax: Int
  ) throws(TransferFault) -> [UInt8] {
    let body = Body(bytesMax: bytesMax)
    // Safe because `body` lives until after curl_easy_perform, the only time that the pointer is used.
    _ = roost_curl_set_writer(handle, collect, Unmanaged.passUnretained(body).toOpaque())
    var text = [CChar](repeating: 0, count: Int(CURL_ERROR_SIZE))
    // Safe because libcurl writes at most CURL_ERROR_SIZE bytes, and only until the buffer is taken away below.
    let code = text.withUnsafeMutableBytes { buffer in
      _ = roost_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, buffer.baseAddress)
      defer { _ = roost_curl_set_pointer(handle, CURLOPT_ERRORBUFFER, nil) }
      return withExtendedLifetime(body) { curl_easy_perform(handle) }
    }
    guard code == CURLE_OK else {
      throw TransferFault(code, String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }
    return body.bytes
  }

  /// Makes a handle trust the authorities in the file that SSL_CERT_FILE names, as OpenSSL's and curl's commands do: who
  /// signed a node's certificate may be known to this machine only.
  public static func trustNamedAuthorities(_ handle: UnsafeMutableRawPointer) {
    // Safe because nothing changes the environment, and libcurl copies the text.
    guard let path = getenv("SSL_CERT_FILE"), path.pointee != 0 else { return }
    _ = roost_curl_set_string(handle, CURLOPT_CAINFO, path)
  }

  private static let collect: roost_curl_writer = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    // Safe because `perform` passed a Body that it keeps alive.
    let body = Unmanaged<Body>.fromOpaque(context).takeUnretainedValue()
    // Anything but the full count makes libcurl give up with CURLE_WRITE_ERROR.
    guard body.bytes.count + size * count <= body.bytesMax else { return 0 }
    // Safe because libcurl passes `size * count` bytes that live through this call.
    body.bytes.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
  }
}

/// Why there is no answer.
public struct TransferFault: Error, Sendable, CustomStringConvertible {
  /// The kinds of failure that a person can do something about.
  public enum Kind: Sendable {
    case unknownHost
    case timedOut
    /// The server's certificate was not accepted.
    case untrusted
    /// The server does not speak TLS, or nothing that both ends speak.
    case noTLS
    /// What came is not HTTP.
    case notHTTP
    /// The connection ended before the answer.
    case closed
    /// The body had more bytes than were wanted.
    case tooLong
    /// Too many requests wait already; nothing was sent.
    case tooManyRequests
    /// Everything else: no connection.
    case unreachable
  }

  /// Whether the body had more bytes than were wanted.
  public let isTooLong: Bool
  /// What kind of failure it was.
  public let kind: Kind
  /// libcurl's words, such as `Couldn't connect to server`.
  public let description: String

  /// What was wrong with the server's certificate, where that is known.
  public let certificateProblem: String?

  /// The request did not end in time.
  package static let timedOut = TransferFault(CURLE_OPERATION_TIMEDOUT, "")
  /// So many requests wait that this one was not sent.
  package static let tooManyRequests = TransferFault(
    isTooLong: false, kind: .tooManyRequests, description: "too many requests wait already", certificateProblem: nil)

  private init(isTooLong: Bool, kind: Kind, description: String, certificateProblem: String?) {
    (self.isTooLong, self.kind) = (isTooLong, kind)
    (self.description, self.certificateProblem) = (description, certificateProblem)
  }

  /// Makes a fault of libcurl's code and the text of its error buffer.
  package init(_ code: CURLcode, _ detail: String) {
    var problem = detail[...]
    for prefix in ["SSL certificate problem: ", "SSL: "] where problem.hasPrefix(prefix) {
      problem = problem.dropFirst(prefix.count)
    }
    certificateProblem = code == CURLE_PEER_FAILED_VERIFICATION && !problem.isEmpty ? String(problem) : nil
    isTooLong = code == CURLE_WRITE_ERROR
    kind =
      switch code {
      case CURLE_COULDNT_RESOLVE_HOST: .unknownHost
      case CURLE_OPERATION_TIMEDOUT: .timedOut
      case CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR: .untrusted
      case CURLE_SSL_CONNECT_ERROR: .noTLS
      case CURLE_UNSUPPORTED_PROTOCOL, CURLE_WEIRD_SERVER_REPLY, CURLE_HTTP2: .notHTTP
      case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_PARTIAL_FILE: .closed
      case CURLE_WRITE_ERROR: .tooLong
      default: .unreachable
      }
    // Safe because curl_easy_strerror returns a static NUL-terminated string, copied at once.
    description = String(cString: curl_easy_strerror(code))
  }
}
