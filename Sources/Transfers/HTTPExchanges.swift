import CCurl
import LoopCore
import TimeCore

/// What a server has answered, whatever its status.
public struct TransferAnswer: Sendable {
  /// The status of HTTP.
  public let status: Int
  /// The body, as far as it was wanted.
  public let body: [UInt8]

  /// Makes an answer.
  public init(status: Int, body: [UInt8]) { (self.status, self.body) = (status, body) }

  /// Whether the server has accepted what it got.
  public var isSuccess: Bool { (200...299).contains(status) }
}

/// One POST of HTTP: what is sent, and what takes the answer.
package struct HTTPRequest {
  package let url: String
  /// Complete header lines, without line ends.
  package let headers: [[UInt8]]
  package let body: [UInt8]
  package var timeout: Interval
  /// Whether the answer's body is wanted. Otherwise a body that is too long is no fault.
  package let keepsBody: Bool
  package let completion: (Result<TransferAnswer, TransferFault>) -> Void

  /// Makes a request; it is sent by `HTTPExchanges`.
  package init(
    url: String, headers: [[UInt8]], body: [UInt8], timeout: Interval, keepsBody: Bool,
    completion: @escaping (Result<TransferAnswer, TransferFault>) -> Void
  ) {
    (self.url, self.headers, self.body) = (url, headers, body)
    (self.timeout, self.keepsBody, self.completion) = (timeout, keepsBody, completion)
  }
}

/// Does requests by libcurl's multi interface, on the loop: it never blocks it. Confined to the loop's thread.
///
/// libcurl says which sockets it waits for and when it wants to be called; both are the loop's. Connections are kept for
/// the next request. Names are resolved by libcurl's own threads.
package final class HTTPExchanges: EventHandler {
  /// One request under way. Its memory is what libcurl writes to, so it lives until the easy handle is gone.
  private final class Exchange {
    let easy: UnsafeMutableRawPointer
    let request: HTTPRequest
    let ended: () -> Void
    let answerBytesMax: Int
    var lines: UnsafeMutablePointer<curl_slist>?
    let errorText: UnsafeMutablePointer<CChar>
    var body: [UInt8] = []
    /// Bytes of the body that have come, kept or not.
    var receivedBytes = 0
    var isTooLong = false

    init(
      _ easy: UnsafeMutableRawPointer, _ request: HTTPRequest, answerBytesMax: Int, _ ended: @escaping () -> Void
    ) {
      (self.easy, self.request, self.answerBytesMax, self.ended) = (easy, request, answerBytesMax, ended)
      errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
      errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    }

    deinit {
      curl_easy_cleanup(easy)
      curl_slist_free_all(lines)
      errorText.deallocate()
    }
  }

  private let loop: EventLoop
  private let answerBytesMax: Int
  private let multi: UnsafeMutableRawPointer
  private var handler: EventLoop.HandlerID?
  private var timer: EventLoop.TimerID?
  private var watched: Set<Int32> = []
  private var exchanges: [UnsafeMutableRawPointer: Exchange] = [:]

  /// - Parameters:
  ///   - connectionsMax: that are kept for the next request.
  ///   - answerBytesMax: of the body of an answer. A longer one is a fault where the body is wanted; elsewhere the rest is not
  ///     read.
  package init(_ loop: EventLoop, connectionsMax: Int, answerBytesMax: Int) {
    (self.loop, self.answerBytesMax) = (loop, answerBytesMax)
    Transfer.prepare()
    guard let multi = curl_multi_init() else { fatalError("libcurl has no memory") }
    self.multi = multi
    _ = roost_curl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, connectionsMax)
    // Safe because the callbacks run only inside calls with this multi handle, which does not outlive this object.
    roost_curl_multi_set_callbacks(
      multi, HTTPExchanges.watchSocket, HTTPExchanges.setTimer, Unmanaged.passUnretained(self).toOpaque())
    handler = loop.attach(self)
  }

  deinit {
    close()
    curl_multi_cleanup(multi)
  }

  /// Ends all requests; nobody gets an answer.
  package func close() {
    for easy in exchanges.keys { curl_multi_remove_handle(multi, easy) }
    exchanges = [:]
  }

  /// How many requests are under way.
  package var count: Int { exchanges.count }

  /// Begins a request. Its completion is called once, later, on the loop; after that `ended`.
  package func start(_ request: HTTPRequest, ended: @escaping () -> Void) {
    guard let easy = curl_easy_init() else { fatalError("libcurl has no memory") }
    let exchange = Exchange(easy, request, answerBytesMax: answerBytesMax, ended)
    HTTPExchanges.setUp(exchange)
    exchanges[easy] = exchange
    curl_multi_add_handle(multi, easy)
  }

  package func ready(_ token: UInt64, _ readiness: Readiness) {
    var events: Int32 = 0
    if readiness.contains(.read) { events |= CURL_CSELECT_IN }
    if readiness.contains(.write) { events |= CURL_CSELECT_OUT }
    if !readiness.isDisjoint(with: .hangUp) { events |= CURL_CSELECT_ERR }
    act(Int32(truncatingIfNeeded: token), events)
  }

  private func act(_ socket: Int32, _ events: Int32) {
    var running: Int32 = 0
    curl_multi_socket_action(multi, socket, events, &running)
    var left: Int32 = 0
    while let message = curl_multi_info_read(multi, &left) {
      // The message is gone with the handle: what it holds is read first.
      guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle else { continue }
      end(easy, roost_curl_message_result(message))
    }
  }

  private func end(_ easy: UnsafeMutableRawPointer, _ code: CURLcode) {
    guard let exchange = exchanges.removeValue(forKey: easy) else { return }
    let status = Int(roost_curl_status(easy))
    curl_multi_remove_handle(multi, easy)
    let isAnswered = code == CURLE_OK || (exchange.isTooLong && !exchange.request.keepsBody)
    if isAnswered {
      exchange.request.completion(.success(TransferAnswer(status: status, body: exchange.body)))
    } else {
      // Safe because libcurl ends the text with a NUL inside the buffer.
      exchange.request.completion(.failure(TransferFault(code, String(cString: exchange.errorText))))
    }
    exchange.ended()
  }

  private static func setUp(_ exchange: Exchange) {
    let (easy, request) = (exchange.easy, exchange.request)
    for line in request.headers {
      // Safe because libcurl copies the text, which ends with a NUL here.
      let longer = (line + [0]).withUnsafeBytes {
        curl_slist_append(exchange.lines, $0.baseAddress?.assumingMemoryBound(to: CChar.self))
      }
      exchange.lines = longer ?? exchange.lines
    }
    _ = roost_curl_set_string(easy, CURLOPT_URL, request.url)
    _ = roost_curl_set_string(easy, CURLOPT_PROTOCOLS_STR, "http,https")
    // What a receiver answers never leads to another: it would get the body, and a signature, from this node.
    _ = roost_curl_set_long(easy, CURLOPT_FOLLOWLOCATION, 0)
    // No proxy of the environment: what leaves a node goes where its settings say.
    _ = roost_curl_set_string(easy, CURLOPT_PROXY, "")
    _ = roost_curl_set_long(easy, CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_1_1))
    _ = roost_curl_set_long(easy, CURLOPT_NOSIGNAL, 1)
    _ = roost_curl_set_long(easy, CURLOPT_TIMEOUT_MS, max(1, request.timeout.milliseconds))
    // A request that ends while its name is being resolved would otherwise wait for the resolver's thread.
    _ = roost_curl_set_long(easy, CURLOPT_QUICK_EXIT, 1)
    Transfer.trustNamedAuthorities(easy)
    _ = roost_curl_set_headers(easy, exchange.lines)
    _ = roost_curl_set_long(easy, CURLOPT_POSTFIELDSIZE, request.body.count)
    _ = roost_curl_set_body(easy, request.body)
    _ = roost_curl_set_pointer(easy, CURLOPT_ERRORBUFFER, exchange.errorText)
    // Safe because the exchange outlives its easy handle.
    _ = roost_curl_set_writer(easy, collect, Unmanaged.passUnretained(exchange).toOpaque())
  }

  private static let collect: roost_curl_writer = { bytes, size, count, context in
    guard let bytes, let context else { return 0 }
    // Safe because `setUp` passed an Exchange, which outlives its easy handle.
    let exchange = Unmanaged<Exchange>.fromOpaque(context).takeUnretainedValue()
    exchange.receivedBytes += size * count
    guard exchange.receivedBytes <= exchange.answerBytesMax else {
      exchange.isTooLong = true
      // Anything but the full count makes libcurl give up with CURLE_WRITE_ERROR.
      return 0
    }
    guard exchange.request.keepsBody else { return size * count }
    // Safe because libcurl passes `size * count` bytes that live through this call.
    exchange.body.append(contentsOf: UnsafeRawBufferPointer(start: bytes, count: size * count))
    return size * count
  }

  // MARK: What libcurl asks of the loop

  private static let watchSocket: roost_curl_socket_watcher = { _, socket, what, context, _ in
    guard let context else { return 0 }
    // Safe because the multi handle does not outlive the object that it was given.
    Unmanaged<HTTPExchanges>.fromOpaque(context).takeUnretainedValue().watch(socket, what)
    return 0
  }

  private static let setTimer: roost_curl_timer_setter = { _, milliseconds, context in
    guard let context else { return 0 }
    // Safe because the multi handle does not outlive the object that it was given.
    Unmanaged<HTTPExchanges>.fromOpaque(context).takeUnretainedValue().wake(inMilliseconds: milliseconds)
    return 0
  }

  private func watch(_ socket: Int32, _ what: Int32) {
    guard let handler else { return }
    guard what != CURL_POLL_REMOVE else {
      if watched.remove(socket) != nil { loop.unwatch(socket) }
      return
    }
    var interest: Readiness = []
    if what & CURL_POLL_IN != 0 { interest.insert(.read) }
    if what & CURL_POLL_OUT != 0 { interest.insert(.write) }
    let token = UInt64(UInt32(bitPattern: socket))
    guard watched.insert(socket).inserted else {
      return loop.change(socket, to: interest, handler: handler, token: token)
    }
    // What the kernel refuses to watch ends by its timeout.
    try? loop.watch(socket, for: interest, handler: handler, token: token)
  }

  private func wake(inMilliseconds milliseconds: Int) {
    if let timer { loop.cancel(timer) }
    timer = nil
    guard milliseconds >= 0 else { return }
    timer = loop.after(milliseconds: milliseconds) { [weak self] in
      self?.timer = nil
      self?.act(CURL_SOCKET_BAD, 0)
    }
  }
}

@available(*, unavailable)
extension HTTPExchanges: Sendable {}
