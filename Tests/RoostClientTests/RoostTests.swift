import RoostClient
import TestSupport
import Testing

@Suite("The Swift client against a node", .serialized)
struct RoostTests {
  private static let transports: [Transport] = [.webSocket, .eventStream, .poll]

  private static func client(_ server: Server, _ user: String, _ transports: [Transport] = [.webSocket]) throws -> Roost
  {
    var options = Roost.Options(user: user)
    options.transports = transports
    return try Roost(server.url, options: options)
  }

  @Test("joins, sends, receives, asks and leaves over every transport", arguments: transports)
  func basics(_ transport: Transport) async throws {
    let server = try await blocking { try Server() }
    let ada = try RoostTests.client(server, "ada", [transport])
    let ben = try RoostTests.client(server, "ben")
    let lobby = ada.room("lobby")
    let messages = try await within(10, "joined") { try await lobby.messages() }
    let events = await ada.events()
    let seen = Seen<String>()
    let collecting = seen.collect(events) { event in
      switch event {
      case .direct(let message): "direct \(message.user ?? "-")"
      case .broadcast(let message): "broadcast \(message.user ?? "-")"
      case .userJoined(let room, let user, _): "joined \(room) \(user)"
      case .userLeft(let room, let user): "left \(room) \(user)"
      default: nil
      }
    }
    try await ben.room("lobby").join()
    for n in 1...3 { #expect(try await ben.room("lobby").send(encoding: Count(n: n)).offset == UInt64(n)) }
    #expect(try await ben.send(#"{"n":4}"#, to: "ada") == 1)
    try await ben.broadcast(#"{"n":5}"#)
    // Own messages are not delivered, and count all the same.
    #expect(try await within(10, "ack") { try await lobby.send(#"{"n":9}"#) }.offset == 4)
    try await ben.room("lobby").send(encoding: Count(n: 10))
    let received = try await within(10, "messages") {
      var received: [Int] = []
      for try await message in messages {
        #expect(message.user == "ben" && message.room == "lobby" && message.timestamp > 0)
        received.append(try message.decode(Count.self).n)
        if received.count == 4 { break }
      }
      return received
    }
    #expect(received == [1, 2, 3, 10])
    let who = try await within(10, "answer") { try await ada.request("whoami") }
    #expect(who.text.contains(#""user":"ada""#), "\(who)")
    let history = try await within(10, "history") { try await lobby.history(limit: 2) }
    #expect(history.messages.map(\.offset) == [4, 5] && history.more == false)
    await #expect(throws: ClientError.self) { try await ada.request("nothing") }
    await #expect(throws: ClientError.self) { try await lobby.send(#"{"room":"x"}"#) }
    await #expect(throws: ClientError.self) { try await lobby.send("[1]") }
    await ben.close()
    try await until("the events", within: 15) { seen.all.count >= 4 }
    #expect(seen.all == ["joined lobby ben", "direct ben", "broadcast ben", "left lobby ben"])
    await lobby.leave()
    #expect(try await within(10, "rooms") { try await ada.request("rooms") }.text == #"{"rooms":[]}"#)
    await ada.close()
    await collecting.value
    #expect(await ada.state == .closed(code: 1000, reason: "closed by the program"))
  }

  @Test("loses and repeats nothing while its connection is cut again and again", arguments: transports)
  func resumes(_ transport: Transport) async throws {
    let server = try await blocking { try Server(["--history-size", "1000"]) }
    let proxy = try TCPProxy(to: server.process.port)
    var options = Roost.Options(user: "ada")
    options.transports = [transport]
    let ada = try Roost("http://127.0.0.1:\(proxy.port)", options: options)
    let messages = try await within(15, "joined") { try await ada.room("r").messages() }
    let ben = try RoostTests.client(server, "ben")
    try await ben.room("r").join()
    let total = 120
    let sending = Task {
      for n in 1...total {
        try await ben.room("r").send(encoding: Count(n: n))
        if n % 30 == 0 { proxy.cut() }
        try await Task.sleep(for: .milliseconds(3))
      }
    }
    let received = try await within(60, "all messages") {
      var received: [Int] = []
      for try await message in messages {
        received.append(try message.decode(Count.self).n)
        if received.count == total { break }
      }
      return received
    }
    try await sending.value
    #expect(received == Array(1...total))
    await ada.close()
    await ben.close()
  }

  @Test("publishes once what it sends through a cut, and what is called before there is a server waits")
  func offline() async throws {
    let server = try await blocking { try Server() }
    let port = server.process.port
    let proxy = try TCPProxy(to: port)
    let ada = try Roost("ws://127.0.0.1:\(proxy.port)/ws", options: Roost.Options(user: "ada"))
    let lobby = ada.room("lobby")
    try await lobby.join()
    let ben = try RoostTests.client(server, "ben")
    let messages = try await ben.room("lobby").messages()
    let offsets = try await withThrowingTaskGroup(of: UInt64.self) { group in
      for n in 1...60 {
        group.addTask { try await lobby.send(encoding: Count(n: n)).offset ?? 0 }
        if n % 20 == 0 {
          proxy.cut()
          try await Task.sleep(for: .milliseconds(20))
        }
      }
      return try await group.reduce(into: Set<UInt64>()) { $0.insert($1) }
    }
    #expect(offsets == Set(1...60))
    let received = try await within(10, "messages") {
      var received: Set<Int> = []
      for try await message in messages {
        let n = try message.decode(Count.self).n
        #expect(received.insert(n).inserted)
        if received.count == 60 { break }
      }
      return received
    }
    #expect(received == Set(1...60))
    await ada.close()
    await ben.close()
  }

  @Test("bounds what waits offline: one call too many fails at once")
  func queueFull() async throws {
    let closed = try await blocking { try Server().process.port }
    var options = Roost.Options(user: "ada")
    options.offlineCallsMax = 3
    let ada = try Roost("http://127.0.0.1:\(closed)", options: options)
    let waiting = (1...3).map { n in Task { try await ada.room("r").send(encoding: Count(n: n)) } }
    try await until("three calls wait", within: 15) { await ada.waitingCallCount == 3 }
    do {
      try await ada.room("r").send(encoding: Count(n: 4))
      Issue.record("a fourth call waits")
    } catch let error as ClientError {
      #expect(error.code == .queueFull)
    }
    waiting[0].cancel()
    await #expect(throws: ClientError.self) { try await waiting[0].value }
    await ada.close()
    for call in waiting.dropFirst() {
      do {
        _ = try await call.value
        Issue.record("sent without a server")
      } catch let error as ClientError { #expect(error.code == .closed) }
    }
  }

  @Test("ends a sequence that nobody reads, with an error, after what fits")
  func tooSlow() async throws {
    let server = try await blocking { try Server() }
    var options = Roost.Options(user: "ada")
    options.backlogMax = 5
    let ada = try Roost(server.url, options: options)
    let messages = try await ada.room("r").messages()
    let ben = try RoostTests.client(server, "ben")
    try await ben.room("r").join()
    for n in 1...8 { try await ben.room("r").send(encoding: Count(n: n)) }
    try await until("they have come", within: 15) { await ada.waitingCallCount == 0 }
    _ = try await ada.request("time")
    var received: [Int] = []
    do {
      for try await message in messages { received.append(try message.decode(Count.self).n) }
      Issue.record("the sequence ended without an error")
    } catch let error as ClientError { #expect(error.code == .tooSlow) }
    #expect(received == [1, 2, 3, 4, 5])
    await ada.close()
    await ben.close()
  }

  @Test("keeps members up to date, through a lost connection, over every transport", arguments: transports)
  func members(_ transport: Transport) async throws {
    let server = try await blocking { try Server() }
    let proxy = try TCPProxy(to: server.process.port)
    var options = Roost.Options(user: "ada")
    options.transports = [transport]
    let ada = try Roost("http://127.0.0.1:\(proxy.port)", options: options)
    let lobby = ada.room("lobby")
    let (ben, eve) = (try RoostTests.client(server, "ben"), try RoostTests.client(server, "eve"))
    try await ben.room("lobby").join()
    try await ben.room("lobby").setState(#"{"away":true}"#)
    let first = try await within(15, "members") { try await lobby.members() }
    #expect(first.map(\.user) == ["ada", "ben"] && first.last?.state == #"{"away":true}"#)
    try await eve.room("lobby").join()
    try await until("eve is there", within: 15) { try await lobby.members().map(\.user) == ["ada", "ben", "eve"] }
    try await ben.room("lobby").setState(nil)
    try await until("the state is gone", within: 15) { try await lobby.members()[1].state == nil }
    proxy.cut()
    await ben.close()
    try await until("ben is gone", within: 15) { try await lobby.members().map(\.user) == ["ada", "eve"] }
    await eve.close()
    try await until("eve is gone", within: 15) { try await lobby.members().map(\.user) == ["ada"] }
    await ada.close()
  }

  @Test("gets the messages of every room that a wildcard matches")
  func wildcard() async throws {
    let server = try await blocking { try Server() }
    let ada = try RoostTests.client(server, "ada")
    let messages = try await ada.room("price:*").messages()
    let ben = try RoostTests.client(server, "ben")
    for n in 1...20 {
      try await ben.room("price:\(n)").join()
      try await ben.room("price:\(n)").send(encoding: Count(n: n))
    }
    let received = try await within(10, "messages") {
      var received: Set<String> = []
      for try await message in messages {
        received.insert(message.room)
        if received.count == 20 { break }
      }
      return received
    }
    #expect(received.count == 20)
    await ada.close()
    await ben.close()
  }
}
