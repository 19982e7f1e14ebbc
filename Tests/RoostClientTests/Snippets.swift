import RoostClient

// The examples of docs/swift-client.md, compiled: a test compares them with the page.

struct Post: Codable { var text: String }

struct Quote: Codable { let symbol: String, price: Double }

/// Where a program would have its sign-in.
struct SignIn: Sendable {
  func freshToken() async throws -> String { "" }
}

enum Snippets {
  static func reading() async throws {
    let roost = try Roost("https://chat.example.com", options: Roost.Options(user: "ada"))
    let lobby = roost.room("lobby")
    let messages = try await lobby.messages()
    try await lobby.send(encoding: Post(text: "hello"))
    for try await message in messages {
      let post: Post = try message.decode()
      print(message.user ?? "-", post.text)
    }
  }

  static func members(_ lobby: Room) async throws {
    for await members in try await lobby.memberChanges() {
      print(members.map(\.user).joined(separator: ", "))
    }
  }

  static func tokens(_ session: SignIn) throws -> Roost {
    var options = Roost.Options()
    options.token = { try await session.freshToken() }
    let roost = try Roost("wss://chat.example.com/ws", options: options)
    return roost
  }

  static func requests(_ roost: Roost) async throws {
    let quote: Quote = try await roost.request("quote", JSON(encoding: "AAA")).decode()
    let delivered = try await roost.send(#"{"text":"psst"}"#, to: "ben")
    try await roost.broadcast(#"{"text":"maintenance at noon"}"#)
    print(quote.price, delivered)
  }

  static func events(_ roost: Roost) async throws {
    for try await event in await roost.events() {
      switch event {
      case .state(.waiting(let milliseconds, _, let reason)):
        print("offline (\(reason)), next attempt in \(milliseconds) ms")
      case .joined(let joined) where joined.recovered == false: print("some messages of \(joined.room) are lost")
      case .gap(let room, let from, let to): print("messages \(from) to \(to) of \(room) are lost")
      default: break
      }
    }
  }
}
