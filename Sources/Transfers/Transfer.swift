import CCurl

/// Runs requests of libcurl's.
public enum Transfer {
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
    let code = withExtendedLifetime(body) { curl_easy_perform(handle) }
    guard code == CURLE_OK else { throw TransferFault(code) }
    return body.bytes
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
public struct TransferFault: Error, CustomStringConvertible {
  /// Whether the body had more bytes than were wanted.
  public let isTooLong: Bool
  /// libcurl's words, such as `Couldn't connect to server`.
  public let description: String

  init(_ code: CURLcode) {
    isTooLong = code == CURLE_WRITE_ERROR
    // Safe because curl_easy_strerror returns a static NUL-terminated string, copied at once.
    description = String(cString: curl_easy_strerror(code))
  }
}
