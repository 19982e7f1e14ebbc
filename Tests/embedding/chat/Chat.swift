import RoostServer

/// A chat backend with accounts, in one program: users sign in with a token, have a private room each, and nobody swears.
@main
struct Chat {
  static func main() async throws {
    let accounts = Accounts()
    var configuration = RoostNode.Configuration(settings: [
      "host": "127.0.0.1", "port": CommandLine.arguments.dropFirst().first ?? "8080",
    ])
    configuration.connect = { attempt in
      guard let token = attempt.token, let user = await accounts.user(of: token) else {
        return .refuse("sign in first")
      }
      return .allow(user: user)
    }
    configuration.join = { room, client in
      room.hasPrefix("private:") && room != "private:\(client.user)" ? .refuse("this room is somebody else's") : .allow
    }
    configuration.message = { message in
      guard case .json(let json) = message.body, var post = try? json.decode(Post.self) else { return .allow }
      guard post.text.contains("damn") else { return .allow }
      post.text = post.text.split(separator: " ").map { $0 == "damn" ? "****" : String($0) }.joined(separator: " ")
      return .replace(try JSON(encoding: post))
    }
    configuration.requests["profile"] = { request in
      try JSON(encoding: await accounts.profile(of: request.client.user))
    }
    configuration.observe = { event, node in
      guard case .joined(let room, let user) = event, room == "lobby" else { return }
      _ = try? await node.publish(JSON(encoding: Post(text: "welcome, \(user)")), in: room)
    }
    let node = try await RoostNode.start(configuration)
    try await node.waitUntilStopped()
  }
}

/// What a message says.
struct Post: Codable {
  var text: String
}

/// Where a program would ask its database.
actor Accounts {
  struct Profile: Codable { let name: String, visits: Int }

  private let names = ["token-of-ada": "ada", "token-of-ben": "ben"]
  private var visits: [String: Int] = [:]

  func user(of token: String) -> String? {
    guard let name = names[token] else { return nil }
    visits[name, default: 0] += 1
    return name
  }

  func profile(of name: String) -> Profile { Profile(name: name, visits: visits[name] ?? 0) }
}
