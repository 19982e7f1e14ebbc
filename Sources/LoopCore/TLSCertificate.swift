import COpenSSL

/// What one end of a connection proves itself with: a certificate chain and its key, both PEM files.
struct TLSCertificate {
  let chainPath: String
  let keyPath: String

  /// Reads both files into an `SSL_CTX`. Throws when one cannot be read or they do not belong together.
  func load(into context: OpaquePointer) throws(TLSError) {
    guard SSL_CTX_use_certificate_chain_file(context, chainPath) == 1 else {
      throw TLSError("cannot read the certificate \(chainPath)")
    }
    guard SSL_CTX_use_PrivateKey_file(context, keyPath, SSL_FILETYPE_PEM) == 1 else {
      throw TLSError("cannot read the key \(keyPath)")
    }
    guard SSL_CTX_check_private_key(context) == 1 else {
      throw TLSError("the key \(keyPath) does not belong to the certificate \(chainPath)")
    }
  }
}
