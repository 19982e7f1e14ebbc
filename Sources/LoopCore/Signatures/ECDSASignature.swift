import COpenSSL

/// Translates signatures between tokens, where the two numbers stand one behind the other (RFC 7518 section 3.4), and
/// OpenSSL, which wants them in DER (RFC 3279 section 2.2.3).
enum ECDSASignature {
  /// Returns the DER form; nil unless `raw` has exactly two numbers of `numberBytes`.
  static func der(fromRaw raw: [UInt8], numberBytes: Int) -> [UInt8]? {
    guard raw.count == 2 * numberBytes, let signature = ECDSA_SIG_new() else { return nil }
    defer { ECDSA_SIG_free(signature) }
    let r = BN_bin2bn(Array(raw[..<numberBytes]), Int32(numberBytes), nil)
    let s = BN_bin2bn(Array(raw[numberBytes...]), Int32(numberBytes), nil)
    // On success the signature owns both numbers.
    guard ECDSA_SIG_set0(signature, r, s) == 1 else {
      BN_free(r)
      BN_free(s)
      return nil
    }
    let count = i2d_ECDSA_SIG(signature, nil)
    guard count > 0 else { return nil }
    var der = [UInt8](repeating: 0, count: Int(count))
    let written = der.withUnsafeMutableBufferPointer { buffer in
      // Safe because the buffer has as many bytes as the call above asked for.
      var next: UnsafeMutablePointer<UInt8>? = buffer.baseAddress
      return i2d_ECDSA_SIG(signature, &next)
    }
    return written == count ? der : nil
  }

  /// Returns the form of tokens; nil when `der` is no signature of numbers that small.
  static func raw(fromDER der: [UInt8], numberBytes: Int) -> [UInt8]? {
    let parsed = der.withUnsafeBufferPointer { buffer in
      // Safe because OpenSSL reads at most `count` bytes from the pointer.
      var next = buffer.baseAddress
      return d2i_ECDSA_SIG(nil, &next, buffer.count)
    }
    guard let signature = parsed else { return nil }
    defer { ECDSA_SIG_free(signature) }
    var raw = [UInt8](repeating: 0, count: 2 * numberBytes)
    let isWritten = raw.withUnsafeMutableBufferPointer { buffer in
      // Safe because the buffer has room for two numbers of `numberBytes`, at least one byte each.
      BN_bn2binpad(ECDSA_SIG_get0_r(signature), buffer.baseAddress!, Int32(numberBytes)) == numberBytes
        && BN_bn2binpad(ECDSA_SIG_get0_s(signature), buffer.baseAddress! + numberBytes, Int32(numberBytes))
          == numberBytes
    }
    return isWritten ? raw : nil
  }
}
