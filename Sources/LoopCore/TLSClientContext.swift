import COpenSSL
import Glibc

/// What a client trusts and how it proves itself, shared by all its connections.
///
/// TLS 1.2 and 1.3. The server's certificate must be signed by a trusted authority and name the host that was asked for
/// (RFC 9525); there is no way to switch that off. Confined to the thread that created it.
public final class TLSClientContext {
  private(set) var context: OpaquePointer
  private let files: TLSClientFiles
  /// What the files were when they were read last.
  private var stamps: [FileStamp?]
  /// When the files were looked at last after a failed handshake, in nanoseconds of the loop's clock.
  private var lookedAt: UInt64?
  /// Called after the files were read again: with nil when they are used from now on, or with what is wrong with them.
  public var hasReadAgain: (TLSError?) -> Void = { _ in }

  /// Reads PEM files. Throws when one cannot be read, or key and certificate do not belong together.
  ///
  /// - Parameters:
  ///   - authorityPath: the certificates of the authorities to trust; nil: those of the system.
  ///   - certificatePath: the client's own certificate chain, for servers that ask for one; nil: none.
  ///   - keyPath: its key; set exactly when the certificate is.
  public init(authorityPath: String?, certificatePath: String?, keyPath: String?) throws(TLSError) {
    files = TLSClientFiles(authorityPath: authorityPath, certificatePath: certificatePath, keyPath: keyPath)
    stamps = files.stamps()
    context = try files.read()
  }

  /// Reads the files again. New connections use them; what cannot be used changes nothing.
  public func readAgain() {
    let stamps = files.stamps()
    do throws(TLSError) {
      let fresh = try files.read()
      // Sessions that use the old one hold it, too.
      SSL_CTX_free(context)
      (context, self.stamps) = (fresh, stamps)
      hasReadAgain(nil)
    } catch {
      hasReadAgain(error)
    }
  }

  /// Reads the files again after a handshake that failed, if they have changed since they were read.
  ///
  /// - Parameters:
  ///   - now: nanoseconds of the loop's clock.
  ///   - milliseconds: the files are looked at once in this time at most.
  public func handshakeFailed(at now: UInt64, atMostEvery milliseconds: Int) {
    if let lookedAt, now < lookedAt + UInt64(milliseconds) * 1_000_000 { return }
    lookedAt = now
    if files.stamps() != stamps { readAgain() }
  }

  deinit { SSL_CTX_free(context) }
}

@available(*, unavailable)
extension TLSClientContext: Sendable {}

/// Which version of a file is on disk.
struct FileStamp: Equatable {
  private let device: UInt64
  private let number: UInt64
  private let bytes: Int64
  private let seconds: Int
  private let nanoseconds: Int

  /// Nil: there is no such file.
  init?(_ path: String) {
    var facts = stat()
    guard stat(path, &facts) == 0 else { return nil }
    (device, number, bytes) = (UInt64(facts.st_dev), UInt64(facts.st_ino), Int64(facts.st_size))
    (seconds, nanoseconds) = (facts.st_mtim.tv_sec, facts.st_mtim.tv_nsec)
  }
}

/// The files of a `TLSClientContext`.
struct TLSClientFiles {
  let authorityPath: String?
  let certificatePath: String?
  let keyPath: String?

  /// The versions of the files that were named; files of the system are not watched.
  func stamps() -> [FileStamp?] { [authorityPath, certificatePath, keyPath].map { $0.flatMap(FileStamp.init) } }

  /// Reads them into an `SSL_CTX`, which the caller frees.
  func read() throws(TLSError) -> OpaquePointer {
    guard let context = SSL_CTX_new(TLS_client_method()) else { throw TLSError("TLS context") }
    do throws(TLSError) {
      try fill(context)
    } catch {
      SSL_CTX_free(context)
      throw error
    }
    return context
  }

  private func fill(_ context: OpaquePointer) throws(TLSError) {
    _ = roost_ctx_set_min_version(context, TLS1_2_VERSION)
    roost_ctx_set_mode(context)
    SSL_CTX_set_options(context, roost_op_client_defaults())
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nil)
    if let authorityPath {
      guard SSL_CTX_load_verify_locations(context, authorityPath, nil) == 1 else {
        throw TLSError("cannot read the certificates of authorities in \(authorityPath)")
      }
    } else {
      guard SSL_CTX_set_default_verify_paths(context) == 1 else {
        throw TLSError("cannot read the system's certificates of authorities")
      }
    }
    guard let certificatePath, let keyPath else { return }
    try TLSCertificate(chainPath: certificatePath, keyPath: keyPath).load(into: context)
  }
}

extension TLSSession {
  /// Begins as the client's end, with the host's name in SNI (RFC 6066 section 3) and checked against the certificate.
  /// Returns nil when OpenSSL has no memory for it.
  ///
  /// - Parameter host: a DNS name, or a numeric address, which the certificate must then list as an address.
  public convenience init?(_ context: TLSClientContext, socket: Int32, host: String) {
    guard let session = SSL_new(context.context) else { return nil }
    self.init(taking: session, socket: socket)
    if Address(numericHost: host, port: 0) != nil {
      X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(session), host)
    } else {
      _ = roost_set_server_name(session, host)
      SSL_set1_host(session, host)
    }
    SSL_set_connect_state(session)
  }

  /// Says what was wrong with the server's certificate, in OpenSSL's words; nil when nothing was found wrong.
  public var certificateProblem: String? {
    let verdict = SSL_get_verify_result(session)
    guard verdict != Int(X509_V_OK) else { return nil }
    // Safe because the text is a constant of OpenSSL's, NUL-terminated, and copied at once.
    return X509_verify_cert_error_string(verdict).map { String(cString: $0) } ?? "it was not accepted"
  }

  /// Says why the last step failed: what was wrong with the server's certificate, or what OpenSSL says.
  public var failure: String {
    if let certificateProblem { return "the server's certificate was not accepted: \(certificateProblem)" }
    return reason ?? "the connection was closed in the middle of TLS"
  }
}
