import COpenSSL

/// Keeps OpenSSL from asking anybody for a pass phrase: a server has no terminal, and its loop would wait for the answer.
public enum PassPhrase {
  /// Makes every question of OpenSSL's fail, whichever library asks it. For the start of the process.
  public static func forbidQuestions() { UI_set_default_method(UI_null()) }

  /// Answers no pass phrase, and sets the Bool that the last argument points to, if it does.
  static let refuse: @convention(c) (UnsafeMutablePointer<CChar>?, Int32, Int32, UnsafeMutableRawPointer?) -> Int32 = {
    _, _, _, asked in
    // Safe because every caller in this module passes the address of a Bool that outlives the call, or nil.
    asked?.assumingMemoryBound(to: Bool.self).pointee = true
    return -1
  }

  /// Says what to do about a key that is encrypted.
  static func advice(_ path: String) -> String {
    "the key \(path) is encrypted, and a server cannot ask for the pass phrase: "
      + "decrypt it with openssl pkey -in \(path) -out plain.pem, keep that file readable for the server only, and name it"
  }
}
