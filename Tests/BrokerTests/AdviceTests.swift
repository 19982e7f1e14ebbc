import Testing

@testable import RedisBackend

@Suite("Redis, what its complaints mean")
struct AdviceTests {
  @Test(
    "says what to do about a failure of TLS",
    arguments: [
      ("tlsv1 alert unknown ca", "tls-ca-cert-file of Redis"),
      ("tlsv13 alert certificate required", "give a client certificate with --redis-cert"),
      ("sslv3 alert certificate expired", "--redis-cert has expired"),
      ("sslv3 alert bad certificate", "does not accept the certificate of --redis-cert"),
      ("tlsv1 alert protocol version", "tls-protocols of Redis"),
      ("sslv3 alert handshake failure", "tls-ciphers of Redis"),
      ("tlsv1 alert internal error", "its log says why"),
      ("wrong version number", "is this a port for TLS?"),
      ("the server's certificate was not accepted: hostname mismatch", "use a host in --redis"),
      ("the server's certificate was not accepted: self-signed certificate", "with --redis-ca"),
    ])
  func tls(_ failure: String, _ advice: String) {
    let text = RedisLink.complaint(about: failure)
    #expect(text.hasPrefix("TLS: \(failure); "))
    #expect(text.contains(advice))
  }

  @Test(
    "knows a refusal by its word, and in the words of a script's error",
    arguments: [
      ("READONLY You can't write against a read only replica.", RedisRefusal.readOnly),
      ("OOM command not allowed when used memory > 'maxmemory'.", .outOfMemory),
      ("ERR Error running script: @user_script: 1: -OOM command not allowed", .outOfMemory),
      ("NOPERM this user has no permissions to run the 'evalsha' command", .noPermission),
      ("ERR The user executing the script can't run this command or subcommand", .noPermission),
      ("MISCONF Redis is configured to save RDB snapshots", .notSaving),
      ("ERR max number of clients reached", .full), ("ERR syntax error", nil),
      ("WRONGTYPE Operation against a key", nil),
      ("AUTH was refused: ERR AUTH <password> called without any password configured; check", .login),
      ("AUTH was refused: WRONGPASS invalid username-password pair; check", .wrongPassword),
    ] as [(String, RedisRefusal?)])
  func refusals(_ text: String, _ refusal: RedisRefusal?) {
    #expect(RedisRefusal(text) == refusal)
  }
}
