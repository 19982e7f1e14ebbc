import Testing

@testable import Settings

@Suite("URLs without their secrets")
struct MaskedURLTests {
  @Test(
    "masks passwords, lone users, values of the query and fragments, and nothing else",
    arguments: [
      ("https://h:8443/path", "https://h:8443/path"), ("https://u:p@ss@h/p", "https://u:***@h/p"),
      ("https://token@h", "https://***@h"), ("http://[::1]:9/x?a=1&b=@2", "http://[::1]:9/x?a=***&b=***"),
      ("https://h?key", "https://h?***"), ("https://h/a#f@x", "https://h/a#***"), ("https://h/a@b", "https://h/a@b"),
      ("/etc/keys.json", "/etc/keys.json"), ("https://u:pass?w@h", "https://***"),
      ("https://u:pass/w@h", "https://***"),
    ])
  func masks(_ url: String, _ shown: String) {
    #expect(MaskedURL.text(url) == shown)
  }
}
