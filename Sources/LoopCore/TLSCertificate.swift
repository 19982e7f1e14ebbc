import COpenSSL

/// What one end of a connection proves itself with: a certificate chain and its key, both PEM files.
struct TLSCertificate {
  /// Bytes of a file of certificates or keys: a chain has a few, of 2 KiB each.
  private static let fileBytesMax = 1024 * 1024

  let chainPath: String
  let keyPath: String

  /// Reads both files into an `SSL_CTX`. Throws when one cannot be read or they do not belong together.
  func load(into context: OpaquePointer) throws(TLSError) {
    try loadChain(into: context)
    try loadKey(into: context)
    guard SSL_CTX_check_private_key(context) == 1 else {
      throw TLSError("the key \(keyPath) does not belong to the certificate \(chainPath)")
    }
  }

  /// The first certificate is the end's own, the others lead to an authority (RFC 8446 section 4.4.2).
  private func loadChain(into context: OpaquePointer) throws(TLSError) {
    let source = try TLSCertificate.open(chainPath, what: "certificate")
    defer { BIO_free(source) }
    ERR_clear_error()
    guard let own = PEM_read_bio_X509_AUX(source, nil, PassPhrase.refuse, nil) else {
      throw TLSError(plain: "there is no certificate in \(chainPath); expected PEM: -----BEGIN CERTIFICATE-----")
    }
    defer { X509_free(own) }
    guard SSL_CTX_use_certificate(context, own) == 1 else {
      throw TLSError("cannot use the certificate \(chainPath)")
    }
    while let next = PEM_read_bio_X509(source, nil, PassPhrase.refuse, nil) {
      defer { X509_free(next) }
      // With 1 OpenSSL takes a reference of its own.
      guard SSL_CTX_ctrl(context, SSL_CTRL_CHAIN_CERT, 1, UnsafeMutableRawPointer(next)) == 1 else {
        throw TLSError("cannot use a certificate of the chain in \(chainPath)")
      }
    }
    // No further block is how a file ends.
    let code = ERR_peek_last_error()
    guard ERR_GET_LIB(code) == ERR_LIB_PEM, ERR_GET_REASON(code) == PEM_R_NO_START_LINE else {
      throw TLSError("cannot read the chain in \(chainPath)")
    }
    ERR_clear_error()
  }

  private func loadKey(into context: OpaquePointer) throws(TLSError) {
    let source = try TLSCertificate.open(keyPath, what: "key")
    defer { BIO_free(source) }
    ERR_clear_error()
    var isEncrypted = false
    guard let key = PEM_read_bio_PrivateKey(source, nil, PassPhrase.refuse, &isEncrypted) else {
      if isEncrypted { throw TLSError(plain: PassPhrase.advice(keyPath)) }
      throw TLSError(plain: "there is no private key in \(keyPath); expected PEM: -----BEGIN PRIVATE KEY-----")
    }
    defer { EVP_PKEY_free(key) }
    guard SSL_CTX_use_PrivateKey(context, key) == 1 else {
      throw TLSError("the key \(keyPath) does not belong to the certificate \(chainPath)")
    }
  }

  /// Opens a file's bytes for OpenSSL; the caller frees what is returned. OpenSSL would wait for a pipe that nobody writes.
  private static func open(_ path: String, what: String) throws(TLSError) -> OpaquePointer {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try WholeFile.read(path, bytesMax: fileBytesMax) } catch {
      throw TLSError(plain: "cannot read the \(what) \(error)")
    }
    guard let source = BIO_new(BIO_s_mem()) else { throw TLSError("no memory for the \(what) \(path)") }
    BIO_write(source, bytes, Int32(bytes.count))
    return source
  }
}
