import COpenSSL
import Glibc

/// Says in plain words what OpenSSL's error queue holds. Its own lines (`error:0480006C:PEM routines::no start line`) name
/// its modules, and neither the file nor what to do.
enum OpenSSLReason {
  /// Takes the queue and empties it. Nil when it is empty.
  static func take() -> String? {
    let code = ERR_get_error()
    ERR_clear_error()
    return code == 0 ? nil : text(code)
  }

  /// Translates one code.
  static func text(_ code: UInt) -> String {
    let (library, reason) = (ERR_GET_LIB(code), ERR_GET_REASON(code))
    switch (library, reason) {
    case (ERR_LIB_SYS, _): return SystemError.text(reason)
    case (ERR_LIB_PEM, PEM_R_NO_START_LINE), (ERR_LIB_OSSL_DECODER, _):
      return "it holds nothing of that kind in PEM form (a block that begins with -----BEGIN)"
    case (ERR_LIB_PEM, PEM_R_BAD_PASSWORD_READ), (ERR_LIB_PEM, PEM_R_BAD_DECRYPT), (ERR_LIB_EVP, EVP_R_BAD_DECRYPT):
      return "it is encrypted; decrypt it with: openssl pkey -in FILE -out NEW-FILE"
    case (ERR_LIB_PEM, _), (ERR_LIB_ASN1, _): return "it is damaged: its PEM text cannot be decoded"
    case (ERR_LIB_SSL, SSL_R_EE_KEY_TOO_SMALL), (ERR_LIB_SSL, SSL_R_CA_KEY_TOO_SMALL):
      return "its key is too short; use RSA with 2048 bits at least, or ECDSA"
    case (ERR_LIB_SSL, SSL_R_CA_MD_TOO_WEAK): return "it is signed with a digest that is too weak, such as SHA-1"
    default:
      guard let words = ERR_reason_error_string(code) else { return "OpenSSL gives no reason" }
      // Safe because OpenSSL returns a static NUL-terminated string, copied at once.
      return "OpenSSL refuses it: \(String(cString: words))"
    }
  }
}
