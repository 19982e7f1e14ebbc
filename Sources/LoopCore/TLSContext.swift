import COpenSSL

/// A TLS failure, with what OpenSSL found, in plain words.
public struct TLSError: Error, CustomStringConvertible {
  public let description: String

  /// Adds the reason of the oldest entry of OpenSSL's error queue, and empties the queue.
  init(_ what: String) {
    description = OpenSSLReason.take().map { "\(what): \($0)" } ?? what
  }

  /// Says what is wrong and what to do, without OpenSSL.
  init(plain text: String) {
    ERR_clear_error()
    description = text
  }
}

/// A server's certificate, key and TLS settings, shared by all its connections.
///
/// TLS 1.2 and 1.3, ALPN `http/1.1`, sessions resumed by tickets (RFC 8446 section 2.2, RFC 5077).
/// Confined to the thread that created it.
public final class TLSContext {
  let context: OpaquePointer

  /// Reads a certificate chain and its key, both PEM files. Throws when they cannot be read or do not belong together.
  public init(certificatePath: String, keyPath: String) throws(TLSError) {
    guard let context = SSL_CTX_new(TLS_server_method()) else { throw TLSError("TLS context") }
    self.context = context
    _ = roost_ctx_set_min_version(context, TLS1_2_VERSION)
    roost_ctx_set_mode(context)
    SSL_CTX_set_options(context, roost_op_server_defaults())
    try TLSCertificate(chainPath: certificatePath, keyPath: keyPath).load(into: context)
    // Resumption needs an id context as soon as sessions are cached.
    let name: [UInt8] = Array("roost".utf8)
    SSL_CTX_set_session_id_context(context, name, UInt32(name.count))
    SSL_CTX_set_alpn_select_cb(context, TLSContext.selectProtocol, nil)
  }

  deinit { SSL_CTX_free(context) }

  /// Whether the certificate is for a host: one of its names, or one of its addresses (RFC 9525 section 6).
  ///
  /// - Parameter host: as a Host header has it, an IPv6 address in brackets.
  public func isFor(host: [UInt8]) -> Bool {
    guard let certificate = SSL_CTX_get0_certificate(context) else { return false }
    let isBracketed = host.first == UInt8(ascii: "[") && host.last == UInt8(ascii: "]")
    let text = String(decoding: isBracketed ? host.dropFirst().dropLast() : host[...], as: UTF8.self)
    if Address(numericHost: text, port: 0) != nil { return X509_check_ip_asc(certificate, text, 0) == 1 }
    return X509_check_host(certificate, text, text.utf8.count, 0, nil) == 1
  }

  /// RFC 7301: WebSockets open over HTTP/1.1. A client that offers only other protocols is refused.
  private static let selectProtocol:
    @convention(c) (
      OpaquePointer?, UnsafeMutablePointer<UnsafePointer<UInt8>?>?, UnsafeMutablePointer<UInt8>?,
      UnsafePointer<UInt8>?, UInt32, UnsafeMutableRawPointer?
    ) -> Int32 = { _, chosen, chosenCount, offered, offeredCount, _ in
      // Safe because OpenSSL passes a list of length-prefixed names that it has checked, alive until the call ends.
      let offers = UnsafeBufferPointer(start: offered, count: Int(offeredCount))
      let wanted: StaticString = "http/1.1"
      var at = 0
      while at < offers.count {
        let count = Int(offers[at])
        guard at + 1 + count <= offers.count else { break }
        let isWanted =
          count == wanted.utf8CodeUnitCount && (0..<count).allSatisfy { offers[at + 1 + $0] == wanted.utf8Start[$0] }
        if isWanted {
          chosen?.pointee = offered?.advanced(by: at + 1)
          chosenCount?.pointee = UInt8(count)
          return SSL_TLSEXT_ERR_OK
        }
        at += 1 + count
      }
      return SSL_TLSEXT_ERR_ALERT_FATAL
    }
}

/// The TLS state of one connection, over a non-blocking socket that somebody else owns.
///
/// Confined to the thread that created it.
public final class TLSSession {
  /// What a step of the handshake came to.
  public enum Handshake: Equatable { case done, wantsRead, wantsWrite, failed }

  let session: OpaquePointer
  /// OpenSSL's words for the last step that failed, or nil.
  private(set) var reason: String?

  /// Begins as the server's end. Returns nil when OpenSSL has no memory for it.
  public convenience init?(_ context: TLSContext, socket: Int32) {
    guard let session = SSL_new(context.context) else { return nil }
    self.init(taking: session, socket: socket)
    SSL_set_accept_state(session)
  }

  init(taking session: OpaquePointer, socket: Int32) {
    self.session = session
    SSL_set_fd(session, socket)
  }

  deinit { SSL_free(session) }

  /// Takes the handshake as far as the socket allows.
  public func handshake() -> Handshake {
    ERR_clear_error()
    let result = SSL_do_handshake(session)
    guard result != 1 else { return .done }
    switch SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ: return .wantsRead
    case SSL_ERROR_WANT_WRITE: return .wantsWrite
    default:
      noteReason()
      return .failed
    }
  }

  private func noteReason() {
    guard let text = ERR_reason_error_string(ERR_peek_error()) else { return }
    reason = String(cString: text)
  }

  /// Whether OpenSSL holds bytes that can be read and that the socket shows no more.
  public var holdsBytes: Bool { SSL_pending(session) > 0 }

  /// Reads one record at most into `buffer`. Ask again until it would block, or `holdsBytes` says no.
  public func receive(into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    ERR_clear_error()
    let count = SSL_read(session, buffer.baseAddress, Int32(clamping: buffer.count))
    return count > 0 ? .bytes(Int(count)) : outcome(count)
  }

  /// Writes once from `bytes`; may take only a part. What is not taken must be offered again, unchanged.
  public func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    ERR_clear_error()
    let count = SSL_write(session, bytes.baseAddress, Int32(clamping: bytes.count))
    return count > 0 ? .bytes(Int(count)) : outcome(count)
  }

  /// Says that nothing more will be sent (RFC 8446 section 6.1).
  public func finishSending() { SSL_shutdown(session) }

  private func outcome(_ result: Int32) -> Transfer {
    switch SSL_get_error(session, result) {
    case SSL_ERROR_WANT_READ, SSL_ERROR_WANT_WRITE: return .wouldBlock
    case SSL_ERROR_ZERO_RETURN: return .end
    default:
      noteReason()
      return .failed(0)
    }
  }
}
