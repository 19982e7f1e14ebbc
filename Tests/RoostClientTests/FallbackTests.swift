import RoostClient
import TestSupport
import Testing

@Suite("The Swift client where something is in the way", .serialized)
struct FallbackTests {
  private static func connected(
    _ proxy: TCPProxy, room: String, _ body: @escaping @Sendable (Roost) async throws -> Void
  )
    async throws
  {
    let ada = try Roost("http://127.0.0.1:\(proxy.port)", options: Roost.Options(user: "ada"))
    let room = ada.room(room)
    _ = try await within(30, "joined") { try await room.join() }
    try await body(ada)
    #expect(try await within(10, "sent") { try await room.send(#"{"n":1}"#) }.offset == 1)
    await ada.close()
  }

  @Test("falls back to an event stream where WebSockets are swallowed, and to polls where streams are, too")
  func swallowed() async throws {
    let server = try await blocking { try Server() }
    for (blocked, transport) in [(["GET /ws"], "sse"), (["GET /ws", "GET /sse"], "poll")] {
      let server = server
      let proxy = try TCPProxy(to: server.process.port)
      for text in blocked { proxy.treat(.toServer, .swallow, said: text) }
      try await FallbackTests.connected(proxy, room: transport) { _ in
        let count = try await blocking { try server.process.metric("roost_connections{transport=\"\(transport)\"}") }
        #expect(count == 1, "\(transport)")
      }
      try await until("the connection has ended", within: 60) {
        try await blocking { try server.process.metric("roost_connections{transport=\"\(transport)\"}") == 0 }
      }
    }
  }

  @Test(
    "is refused for good by a wrong token, over every transport", arguments: [Transport.webSocket, .eventStream, .poll])
  func refused(_ transport: Transport) async throws {
    let server = try await blocking {
      try Server(["--auth", "jwt", "--jwt-secret", "0123456789abcdef0123456789abcdef"])
    }
    var options = Roost.Options()
    options.token = { "not.a.token" }
    options.transports = [transport]
    let ada = try Roost(server.url, options: options)
    do {
      _ = try await within(20, "refused") { try await ada.room("r").join() }
      Issue.record("joined with a wrong token")
    } catch let error as ClientError {
      #expect(error.code == .closed, "\(error)")
    }
    guard case .closed(4401, _) = await ada.state else {
      Issue.record("\(await ada.state)")
      return
    }
  }

  @Test("asks for a token for every connection, and tries again when there is none")
  func tokens() async throws {
    let secret = "0123456789abcdef0123456789abcdef"
    let server = try await blocking { try Server(["--auth", "jwt", "--jwt-secret", secret]) }
    let asked = Seen<Int>()
    var options = Roost.Options()
    options.token = {
      asked.add(1)
      if asked.all.count == 1 { throw TestFailure("the token's server is away") }
      return try await blocking {
        let (_, output) = try RoostProcess.run(["token", "--user", "ada", "--jwt-secret", secret])
        return output.split(whereSeparator: \.isWhitespace).map(String.init).first ?? ""
      }
    }
    let ada = try Roost(server.url, options: options)
    let who = try await within(20, "answer") {
      try await ada.connectAndAsk()
    }
    #expect(who.contains(#""user":"ada""#) && asked.all.count == 2, "\(who)")
    await ada.close()
  }

  @Test("says which address cannot be used")
  func addresses() {
    for text in ["", "localhost:8080", "ftp://h", "http://"] {
      #expect(throws: ClientError.self) { try Roost(text) }
    }
  }
}

extension Roost {
  /// Asks who this client is, again and again while the first connection cannot be opened.
  fileprivate func connectAndAsk() async throws -> String { try await request("whoami").text }
}
