import JSONCore
import LoopCore

@testable import Tokens

/// Keys and tokens that the standards print.
enum Vectors {
  struct Signed: Sendable {
    let section: String
    let token: String
    /// A set of keys with the one that fits, or nil where it is a secret.
    let set: String?
    var secret: [UInt8] = []

    func key() throws -> TokenKey {
      guard let set else { return TokenKey(.secret(SharedSecret(secret))) }
      return try TokenKey.readSet(Array(set.utf8))[0]
    }
  }

  private static let claims =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"

  static let hs256 = Signed(
    section: "RFC 7515 appendix A.1",
    token: "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.\(claims).dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
    set: nil,
    secret: Base64URL.decode(
      Array("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow".utf8).span) ?? [])

  static let modulus =
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZ"
    + "S-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2"
    + "R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcD"
    + "TW9gb54h4FRWyuXpoQ"

  static func modulusBytes() throws -> [UInt8] {
    let digits = Array(modulus.utf8)
    guard let bytes = Base64URL.decode(digits.span) else { throw KeyFault("the modulus is not base64url") }
    return bytes
  }

  static let rs256 = Signed(
    section: "RFC 7515 appendix A.2",
    token: "eyJhbGciOiJSUzI1NiJ9.\(claims)."
      + "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CU"
      + "Ar7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_d"
      + "O--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0ig"
      + "cN_IoypGlUPQGe77Rw",
    set: #"{"keys":[{"kty":"RSA","n":"\#(modulus)","e":"AQAB"}]}"#)

  static let es256 = Signed(
    section: "RFC 7515 appendix A.3",
    token: "eyJhbGciOiJFUzI1NiJ9.\(claims)."
      + "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
    set: #"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","#
      + #""y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#)

  static let edDSA = Signed(
    section: "RFC 8037 appendix A.4",
    token: "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc."
      + "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    set: #"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#)

  static let all = [hs256, rs256, es256, edDSA]

  /// The key of RFC 7515 appendix A.2 as a PEM text.
  static let rsaPEM = """
    -----BEGIN PUBLIC KEY-----
    MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAofgWCuLjybRlzo0tZWJj
    NiuSfb4p4fAkd/wWJcyQoTbji9k0l8W26mPddxHmfHQp+Vaw+4qPCJrcS2mJPMEz
    P1Pt0Bm4d4QlL+yRT+SFd2lZS+pCgNMsD1W/YpRPEwOWvG6b32690r2jZ47soMZo
    9wGzjb/7OMg0LOL+bSf63kpaSHSXndS5z5rexMdbBYUsLA9e+KXBdQOS+UTo7WTB
    EMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6/I5IhlJH7aGhyxX
    FvUK+DWNmoudF8NAco9/h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXp
    oQIDAQAB
    -----END PUBLIC KEY-----
    """
}

/// Makes tokens, right and wrong.
enum Forge {
  static let secret = Array("a secret of 32 bytes, for testing".utf8)

  /// Takes tokens without `exp` too, as those of the standards are.
  static let anyTime = {
    var policy = TokenPolicy()
    policy.requiresExpiry = false
    return policy
  }()

  static func encode(_ text: String) -> String {
    String(decoding: Base64URL.encode(Array(text.utf8).span), as: UTF8.self)
  }

  /// A token of any header and claims, signed by HMAC.
  static func token(
    _ claims: String, header: String = #"{"alg":"HS256"}"#, secret: [UInt8] = secret,
    algorithm: SignatureAlgorithm = .hs256
  ) -> String {
    let signed = "\(encode(header)).\(encode(claims))"
    let signature = SharedSecret(secret).sign(Array(signed.utf8), by: algorithm) ?? []
    return "\(signed).\(String(decoding: Base64URL.encode(signature.span), as: UTF8.self))"
  }

  /// The same token with its signature changed.
  static func resigned(_ token: String, _ change: (inout [UInt8]) -> Void) -> String {
    var parts = token.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    var signature = Base64URL.decode(Array(parts[2].utf8).span) ?? []
    change(&signature)
    parts[2] = String(decoding: Base64URL.encode(signature.span), as: UTF8.self)
    return parts.joined(separator: ".")
  }

  /// Why a token is refused, or nil when it is not.
  static func fault(_ token: String, _ verifier: TokenVerifier, now: UInt64 = 1000) -> TokenFault? {
    do throws(TokenFault) {
      _ = try verifier.judge(Array(token.utf8).span, now: now)
      return nil
    } catch { return error }
  }
}
