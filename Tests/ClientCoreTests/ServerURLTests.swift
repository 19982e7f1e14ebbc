import ClientCore
import Testing

@Suite("The address of a server")
struct ServerURLTests {
  @Test(
    "reads host and port, whatever the scheme (RFC 3986 section 3.2)",
    arguments: [
      ("http://127.0.0.1:8080", "127.0.0.1", 8080, false), ("HTTP://Host", "Host", 80, false),
      ("https://example.org/", "example.org", 443, true), ("http://[::1]:81/roost//", "::1", 81, false),
      ("ws://h", "h", 80, false), ("wss://[2001:db8::1]/ws", "2001:db8::1", 443, true),
      ("WS://a_b.example:9/ws?user=me", "a_b.example", 9, false),
    ] as [(String, String, UInt16, Bool)])
  func address(_ text: String, _ host: String, _ port: UInt16, _ isSecure: Bool) throws {
    let url = try ServerURL(parsing: text)
    #expect(url.host == host)
    #expect(url.port == port)
    #expect(url.isSecure == isSecure)
  }

  @Test(
    "finds Roost's HTTP paths and its WebSocket from each form",
    arguments: [
      ("http://h:1", "http://h:1", "/ws", "/echo"), ("http://h:1/", "http://h:1", "/ws", "/echo"),
      ("ws://h:1", "http://h:1", "/ws", "/echo"), ("wss://h:1/", "https://h:1", "/ws", "/echo"),
      ("ws://h:1/ws", "http://h:1", "/ws", "/echo"), ("ws://h:1/echo/", "http://h:1", "/ws", "/echo"),
      ("http://h:1/ws", "http://h:1", "/ws", "/echo"), ("https://h/chat", "https://h/chat", "/chat/ws", "/chat/echo"),
      ("wss://h/chat/ws", "https://h/chat", "/chat/ws", "/chat/echo"),
      ("ws://h/socket", "http://h/socket", "/socket", "/socket"),
      ("https://[::1]:8/x/", "https://[::1]:8/x", "/x/ws", "/x/echo"),
    ] as [(String, String, String, String)])
  func paths(_ text: String, _ http: String, _ socket: String, _ echo: String) throws {
    let url = try ServerURL(parsing: text)
    #expect(url.text == http)
    #expect(url.webSocketPath("ws") == socket)
    #expect(url.webSocketPath("echo") == echo)
    // What is printed can be given again.
    #expect(try ServerURL(parsing: url.text).text == http)
    #expect(try ServerURL(parsing: url.webSocketText(socket)).webSocketPath("ws") == socket)
  }

  @Test("adds a parameter to the query unless it is there, and shows no query in messages")
  func query() throws {
    let url = try ServerURL(parsing: "ws://h/ws?token=secret&a=b")
    #expect(url.target("/ws", adding: "user", "me") == "/ws?token=secret&a=b&user=me")
    #expect(url.target("/ws", adding: "a", "c") == "/ws?token=secret&a=b")
    #expect(try ServerURL(parsing: "ws://h").target("", adding: "user", "me") == "/?user=me")
    #expect(!url.text.contains("secret") && !url.webSocketText("/ws").contains("secret"))
  }

  @Test(
    "says what is wrong with everything else",
    arguments: [
      ("", "has no scheme"), ("localhost:8080", "expected one such as http://localhost:8080"),
      ("[::1]:80", "http://[::1]:80"), ("ftp://h", "unknown scheme"), ("http://", "no host"), ("http://:80", "no host"),
      ("http://h:0", "port from 1 to 65535"), ("http://h:65536", "port from 1"), ("http://h:8o", "port from 1"),
      ("http://h:", "port from 1"), ("http://u:p@h", "user name"), ("http://h/#a", "fragment"),
      ("http://h /", "character"), ("http://h\r\nX: y", "character"), ("http://[::1", "without a ]"),
      ("http://[::1]x", "port"), ("http://::1:8080", "in brackets"), ("http://[h]", "no IPv6 address"),
      ("http://a,b", "character"), ("http://höst", "character"),
    ])
  func refused(_ text: String, _ expected: String) {
    #expect(ServerURL.problem(text)?.contains(expected) == true, "\(ServerURL.problem(text) ?? "taken")")
  }
}
