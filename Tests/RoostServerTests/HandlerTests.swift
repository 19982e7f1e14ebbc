import JSONCore
import RoostServer
import TestSupport
import Testing

@Suite("Handlers in Swift")
struct HandlerTests {
  private struct Sum: Codable { let numbers: [Int] }

  @Test("answer requests, refuse them, fail, and give what is no JSON")
  func requests() async throws {
    let lines = Seen<RoostNode.LogLine>()
    var configuration = RoostNode.Configuration.test()
    configuration.log = .handler { lines.add($0) }
    configuration.requests["sum"] = { request in
      guard let sum = try request.payload?.decode(Sum.self) else {
        throw RequestError(.badRequest, "numbers are missing")
      }
      await Task.yield()
      return JSON("\(sum.numbers.reduce(0, +))")
    }
    configuration.requests["who"] = { request in JSON("\"\(request.client.user) \(request.node.port)\"") }
    configuration.requests["broken"] = { _ in throw CancellationError() }
    configuration.requests["garbage"] = { _ in JSON("{\"a\":") }
    try await withNode(configuration) { node in
      try await blocking {
        let ada = try client(node.port, "ada")
        try ada.expect("welcome")
        func ask(_ action: String, _ payload: String = "{}") throws -> Received {
          try ada.ask("\"type\":\"request\",\"action\":\"\(action)\",\"payload\":\(payload)")
        }
        #expect(try ask("sum", #"{"numbers":[1,2,3]}"#)["payload"]?.asInt == 6)
        #expect(try ask("who")["payload"]?.asString == "ada \(node.port)")
        let refused = try ada.ask(#""type":"request","action":"sum""#)
        #expect(refused["error"]?["code"]?.asString == "bad_request", "\(refused)")
        for action in ["broken", "garbage"] {
          #expect(try ask(action)["error"]?["code"]?.asString == "internal")
        }
        #expect(try ask("unknown")["error"]?["code"]?.asString == "not_found")
        #expect(try ask("time")["ok"]?.asBool == true)
      }
      try await until("the log tells of the failures") {
        Set(lines.all.compactMap { $0.fields["handler"] }) == ["\"request broken\"", "\"request garbage\""]
      }
    }
  }

  @Test("that do not answer end in time, and no more than handlersMax run; other requests and clients go on")
  func bounds() async throws {
    let gate = Gate()
    var configuration = RoostNode.Configuration.test()
    configuration.handlersMax = 3
    configuration.handlerTimeout = .milliseconds(200)
    configuration.requests["wait"] = { _ in
      await gate.pass()
      return "true"
    }
    try await withNode(configuration) { node in
      try await blocking {
        let ada = try client(node.port, "ada")
        try ada.expect("welcome")
        for number in 1...4 { try ada.send(#"{"type":"request","action":"wait","id":"w\#(number)"}"#) }
        // The fourth is refused at once, before any of the others has ended.
        let refused = try ada.expect("response")
        #expect(refused.string("id") == "w4" && "\(refused)".contains("too many requests"), "\(refused)")
        #expect(try ada.ask(#""type":"request","action":"time""#)["ok"]?.asBool == true)
        for number in 1...3 {
          let late = try ada.expect("response")
          #expect(late.string("id") == "w\(number)" && "\(late)".contains("in time"), "\(late)")
        }
        // A task that goes on after its time keeps its place.
        let full = try ada.ask(#""type":"request","action":"wait""#)
        #expect("\(full)".contains("too many requests"), "\(full)")
      }
      await gate.open()
      try await blocking {
        let ben = try client(node.port, "ben")
        try ben.expect("welcome")
        try eventually("places are free again") {
          try ben.ask(#""type":"request","action":"wait""#)["payload"]?.asBool == true
        }
      }
    }
  }

  @Test("name users by a token, and refuse others")
  func connect() async throws {
    let attempts = Seen<ConnectAttempt>()
    var configuration = RoostNode.Configuration.test()
    configuration.connect = { attempt in
      attempts.add(attempt)
      switch attempt.token {
      case "good":
        var grant = ConnectAnswer.Grant(user: "ada")
        grant.info = #"{"name":"Ada"}"#
        grant.rooms = ["r:*"]
        return .allow(grant)
      case "odd": return .allow(user: "")
      case "broken": throw CancellationError()
      default: return .refuse("sign in first")
      }
    }
    try await withNode(configuration) { node in
      try await blocking {
        let ada = try client(node.port, "mallory", token: "good")
        #expect(try ada.expect("auth_success").string("user") == "ada")
        #expect(try ada.join("r")["members"]?.asInt == 1)
        #expect(try ada.ask(#""type":"request","action":"whoami""#)["payload"]?["info"]?["name"]?.asString == "Ada")
        #expect(try ada.ask(#""type":"message","room":"r","n":1"#).string("code") == "forbidden")
        let none = try client(node.port, "mallory")
        #expect(try none.expect("auth_failed").string("reason") == "sign in first")
        #expect(try none.expectClose() == 4401)
        for token in ["odd", "broken"] {
          let undecided = try client(node.port, "x", token: token)
          #expect(try undecided.expect("error").string("code") == "unavailable")
          #expect(try undecided.expectClose() == 1013)
        }
        #expect(try HTTPClient(port: node.port).ask("GET", "/sse?room=r").status == 401)
      }
      let first = try #require(attempts.all.first)
      #expect(first.user == nil && first.transport == "websocket" && first.address == "127.0.0.1")
      #expect(first.headers["authorization"] == "Bearer good")
    }
  }

  @Test("decide about joins and messages in the order of a connection, and forbid at once")
  func decisions() async throws {
    var configuration = RoostNode.Configuration.test()
    configuration.join = { room, client in room == "private:\(client.user)" || room == "lobby" ? .allow : .refuse("no")
    }
    configuration.message = { message in
      guard case .json(let json) = message.body else { return .refuse("no bytes") }
      if json.text.contains("slow") { try await Task.sleep(for: .milliseconds(30)) }
      if json.text.contains("spam") { return .refuse("no spam") }
      return json.text.contains("damn") ? .replace(#"{"text":"****"}"#) : .allow
    }
    configuration.forbid = { attempt, client in
      if case .direct = attempt, client.user == "ada" { return "ada may not" }
      return nil
    }
    try await withNode(configuration) { node in
      try await blocking {
        let (ada, ben) = (try client(node.port, "ada"), try client(node.port, "ben"))
        for each in [ada, ben] {
          try each.expect("welcome")
          try each.join("lobby")
        }
        #expect(try ada.join("private:ada").type == "joined")
        let refused = try ada.ask(#""type":"join","room":"private:ben""#)
        #expect(refused.string("code") == "forbidden" && refused.string("message") == "no", "\(refused)")
        for text in ["slow", "damn", "fast"] { try ada.send(#"{"type":"message","room":"lobby","text":"\#(text)"}"#) }
        for text in ["slow", "****", "fast"] { #expect(try ben.expect("message").string("text") == text) }
        #expect(try ada.ask(#""type":"message","room":"lobby","text":"spam""#).string("message") == "no spam")
        let direct = try ada.ask(#""type":"direct","to":"ben","n":1"#)
        #expect(direct.string("code") == "forbidden" && direct.string("message") == "ada may not", "\(direct)")
        #expect(try ben.ask(#""type":"direct","to":"ada","n":1"#).int("delivered") == 1)
      }
    }
  }
}
