import COpenSSL

extension PublicKey {
  /// Reads every key of a PEM text (RFC 7468): public keys and certificates, in their order.
  ///
  /// Throws when there is none, and when anything else stands there: a private key does not belong on a server that
  /// only checks.
  public static func readAll(pem: [UInt8]) throws(KeyFault) -> [PublicKey] {
    var keys: [PublicKey] = []
    for block in try PEMBlock.readAll(pem) { keys.append(try PublicKey(owning: try key(of: block))) }
    guard !keys.isEmpty else {
      throw KeyFault("there is no key in it; expected a PEM block that begins with -----BEGIN PUBLIC KEY-----")
    }
    return keys
  }

  private static func key(of block: PEMBlock) throws(KeyFault) -> OpaquePointer {
    let key = block.bytes.withUnsafeBufferPointer { buffer -> OpaquePointer? in
      // Safe because OpenSSL reads at most `count` bytes from the pointer during the call.
      var next = buffer.baseAddress
      switch block.name {
      case "PUBLIC KEY": return d2i_PUBKEY(nil, &next, buffer.count)
      case "RSA PUBLIC KEY": return d2i_PublicKey(EVP_PKEY_RSA, nil, &next, buffer.count)
      case "CERTIFICATE":
        guard let certificate = d2i_X509(nil, &next, buffer.count) else { return nil }
        defer { X509_free(certificate) }
        return X509_get_pubkey(certificate)
      default: return nil
      }
    }
    if let key { return key }
    if block.name.hasSuffix("PRIVATE KEY") {
      throw KeyFault("there is a private key in it; checking needs the public one: openssl pkey -pubout")
    }
    throw KeyFault.openSSL("the block \(block.name) is no public key")
  }
}

/// One block of a PEM text.
struct PEMBlock {
  /// What stands behind `BEGIN`.
  let name: String
  let bytes: [UInt8]

  /// Reads all blocks; text around them is ignored (RFC 7468 section 2).
  static func readAll(_ text: [UInt8]) throws(KeyFault) -> [PEMBlock] {
    guard let source = BIO_new(BIO_s_mem()) else { throw KeyFault.openSSL("no memory for a key") }
    defer { BIO_free(source) }
    guard BIO_write(source, text, Int32(clamping: text.count)) == text.count || text.isEmpty else {
      throw KeyFault.openSSL("no memory for a key")
    }
    ERR_clear_error()
    var blocks: [PEMBlock] = []
    while let block = try next(source) { blocks.append(block) }
    return blocks
  }

  private static func next(_ source: OpaquePointer) throws(KeyFault) -> PEMBlock? {
    var name: UnsafeMutablePointer<CChar>?
    var header: UnsafeMutablePointer<CChar>?
    var bytes: UnsafeMutablePointer<UInt8>?
    var count = 0
    guard PEM_read_bio(source, &name, &header, &bytes, &count) == 1, let name else {
      // No further block is how a text ends.
      let code = ERR_peek_last_error()
      guard ERR_GET_LIB(code) == ERR_LIB_PEM, ERR_GET_REASON(code) == PEM_R_NO_START_LINE else {
        throw KeyFault.openSSL("it is not well-formed PEM")
      }
      ERR_clear_error()
      return nil
    }
    defer {
      CRYPTO_free(name, #file, 0)
      CRYPTO_free(header, #file, 0)
      CRYPTO_free(bytes, #file, 0)
    }
    // Safe because OpenSSL has just made a NUL-terminated name and `count` bytes, freed behind this line.
    return PEMBlock(name: String(cString: name), bytes: Array(UnsafeBufferPointer(start: bytes, count: count)))
  }
}
