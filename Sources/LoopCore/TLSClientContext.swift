import COpenSSL
import Glibc

/// What a client trusts and how it proves itself, shared by all its connections.
///
/// TLS 1.2 and 1.3. The server's certificate must be signed by a trusted authority and name the host that was asked for
/// (RFC 9525); there is no way to switch that off. Confined to the thread that created it.
public final class TLSClientContext {
  let context: OpaquePointer

  /// Reads PEM files. Throws when one cannot be read, or key and certificate do not belong together.
  ///
  /// - Parameters:
  ///   - authorityPath: the certificates of the authorities to trust; nil: those of the system.
  ///   - certificatePath: the client's own certificate chain, for servers that ask for one; nil: none.
  ///   - keyPath: its key; set exactly when the certificate is.
  public init(authorityPath: String?, certificatePath: String?, keyPath: String?) throws(TLSError) {
    guard let context = SSL_CTX_new(TLS_client_method()) else { throw TLSError("TLS context") }
    self.context = context
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

  deinit { SSL_CTX_free(context) }
}

@available(*, unavailable)
extension TLSClientContext: Sendable {}

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

  /// Says why the last step failed: what was wrong with the server's certificate, or what OpenSSL says.
  public var failure: String {
    let verdict = SSL_get_verify_result(session)
    guard verdict == Int(X509_V_OK) else {
      guard let text = X509_verify_cert_error_string(verdict) else { return "the certificate was not accepted" }
      return "the server's certificate was not accepted: \(String(cString: text))"
    }
    return reason ?? "the connection was closed in the middle of TLS"
  }
}
