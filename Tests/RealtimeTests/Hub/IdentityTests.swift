import Randomness
import Testing

@testable import Realtime

/// A hub that asks for tokens. A token is a user's name here; what else it says is in `table`.
private final class TokenBench {
  let bench = HubBench { $0.authTimeoutMilliseconds = 10_000 }
  var table: [String: Identity] = [:]
  /// Whether verdicts wait until `judgeAll`.
  var isPending = false
  var isOutOfReach = false
  private var waiting: [() -> Void] = []

  init() {
    bench.hub.judgeToken = { [weak self] token, conclude in
      guard let self else { return }
      let judge = { conclude(self.verdict(String(decoding: token, as: UTF8.self))) }
      if self.isPending { self.waiting.append(judge) } else { judge() }
    }
  }

  private func verdict(_ token: String) -> TokenVerdict {
    if isOutOfReach { return .unavailable(reason: "no keys") }
    if let identity = table[token] { return .accepted(identity) }
    return token.hasPrefix("bad") ? .refused(reason: "it is bad") : .accepted(Identity(user: Array(token.utf8)))
  }

  func judgeAll() {
    isPending = false
    let judging = waiting
    waiting = []
    for judge in judging { judge() }
  }

  /// Lets time pass in steps of a second, as the node's timer does.
  func pass(seconds: Int) {
    for _ in 0..<seconds {
      bench.clock.milliseconds += 1000
      bench.hub.expire()
    }
  }

  func identity(_ user: String, seconds: UInt64, info: String? = nil) -> Identity {
    Identity(
      user: Array(user.utf8), info: info.map { Array($0.utf8) }, expiresAt: bench.clock.milliseconds + seconds * 1000)
  }
}

@Suite("Hub, identity")
struct IdentityTests {
  @Test("greets a connection with a good token under its user's name, without an answer of its own")
  func tokenAtOnce() {
    let tokens = TokenBench()
    let ann = tokens.bench.arrive(token: "ann").take()
    #expect(ann.map(\.type) == ["welcome"])
    #expect(ann.first?.string("user") == "ann")
  }

  @Test("greets first, then says why a token is wrong, then closes with 4401")
  func wrongTokenAtOnce() {
    let tokens = TokenBench()
    let client = tokens.bench.arrive(token: "bad")
    let texts = client.take()
    #expect(texts.map(\.type) == ["welcome", "auth_failed"])
    #expect(texts.first?.json["user"] == .null)
    #expect(texts.last?.string("reason") == "it is bad")
    #expect(tokens.bench.closes[client.connection] == 4401)
    #expect(tokens.bench.hub.counters.authenticationFailures == 1)
  }

  @Test("answers everything but auth with unauthenticated until a token came, and goes on then")
  func firstMessage() {
    let tokens = TokenBench()
    let client = tokens.bench.arrive()
    #expect(client.take().first?.json["user"] == .null)
    for operation in [
      #"{"type":"join","room":"r","id":"1"}"#, #"{"type":"ping"}"#, #"{"type":"message","room":"r"}"#,
      #"{"type":"request","action":"whoami"}"#,
    ] {
      #expect(client.send(operation).map { $0.string("code") } == ["unauthenticated"], "\(operation)")
    }
    let answer = client.send(#"{"type":"auth","token":"ann","id":"a"}"#)
    #expect(answer.map(\.type) == ["auth_success"])
    #expect(answer.first?.string("user") == "ann" && answer.first?.string("id") == "a")
    #expect(client.join().map(\.type) == ["joined"])
    tokens.pass(seconds: 60)
    #expect(tokens.bench.closes.isEmpty)
  }

  @Test(
    "closes with 4401 and a reason when no token came in time, not before, and only once, however the clock is set",
    arguments: [0, 3_600_000, -3_600_000])
  func timeout(clockSetBy offset: Int64) {
    let tokens = TokenBench()
    let client = tokens.bench.arrive()
    _ = client.take()
    tokens.bench.clock.offset = offset
    tokens.pass(seconds: 9)
    #expect(client.take().isEmpty && tokens.bench.closes.isEmpty)
    tokens.pass(seconds: 1)
    #expect(client.take().map(\.type) == ["auth_failed"])
    #expect(tokens.bench.closes[client.connection] == 4401)
    tokens.bench.hub.close(client.session)
    tokens.pass(seconds: 20)
    #expect(client.take().isEmpty)
  }

  @Test("keeps what is sent while a token is being judged, in its order, and does it then")
  func pipelined() {
    let tokens = TokenBench()
    tokens.isPending = true
    let client = tokens.bench.arrive(token: "ann")
    #expect(client.send(#"{"type":"join","room":"r","id":"1"}"#).map(\.type) == ["welcome"])
    #expect(client.send(#"{"type":"message","room":"r","id":"2","n":1}"#).isEmpty)
    tokens.judgeAll()
    let texts = client.take()
    #expect(texts.map(\.type) == ["auth_success", "joined", "ack"])
    #expect(tokens.bench.closes.isEmpty)
  }

  @Test("does nothing of what was sent behind a token that turns out wrong")
  func pipelinedWrong() {
    let tokens = TokenBench()
    tokens.isPending = true
    let client = tokens.bench.arrive()
    _ = client.send(#"{"type":"auth","token":"bad","id":"a"}"#)
    _ = client.send(#"{"type":"join","room":"r","id":"1"}"#)
    tokens.judgeAll()
    let texts = client.take()
    #expect(texts.map(\.type) == ["auth_failed"])
    #expect(texts.first?.string("id") == "a")
    #expect(tokens.bench.hub.context.rooms.count == 0)
  }

  @Test("bounds what waits for a token by its bytes, and refuses a second token meanwhile")
  func unjudgedLimit() {
    let tokens = TokenBench()
    tokens.isPending = true
    let client = tokens.bench.arrive(token: "ann")
    _ = client.take()
    let filler = String(repeating: "x", count: 30_000)
    let answers = (0..<3).flatMap { _ in client.send(#"{"type":"message","room":"r","t":"\#(filler)"}"#) }
    #expect(answers.map { $0.string("code") } == ["unauthenticated"])
    #expect(client.send(#"{"type":"auth","token":"ann"}"#).map { $0.string("code") } == ["rate_limited"])
    tokens.judgeAll()
    #expect(client.take().first?.type == "auth_success")
  }

  @Test("bounds what all connections together have waiting for tokens, below what stops the node's readers")
  func unjudgedLimitOfNode() {
    let tokens = TokenBench()
    tokens.isPending = true
    let filler = String(repeating: "x", count: 60_000)
    let count = Limits.unjudgedNodeBytesMax / 60_000 + 5
    let clients = (0..<count).map { _ in tokens.bench.arrive(token: "ann") }
    let codes = clients.flatMap { $0.send(#"{"type":"message","room":"r","t":"\#(filler)"}"#) }
      .compactMap { $0.string("code") }
    #expect((5...6).contains(codes.count) && Set(codes) == ["unavailable"])
    #expect(tokens.bench.paused.isEmpty && tokens.bench.hub.backPressure.bytesInFlight <= Limits.unjudgedNodeBytesMax)
    for client in clients { tokens.bench.hub.close(client.session) }
    #expect(tokens.bench.hub.authentication.isIdle && tokens.bench.hub.backPressure.bytesInFlight == 0)
  }

  @Test("closes with 1013, to come again, when tokens cannot be judged")
  func outOfReach() {
    let tokens = TokenBench()
    tokens.isOutOfReach = true
    let client = tokens.bench.arrive(token: "ann")
    #expect(client.take().map { $0.string("code") } == [nil, "unavailable"])
    #expect(tokens.bench.closes[client.connection] == 1013)
  }

  @Test("closes with 4401 when the token expires")
  func expiry() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 30)
    let client = tokens.bench.arrive(token: "t")
    _ = client.take()
    client.join()
    tokens.pass(seconds: 29)
    #expect(tokens.bench.closes.isEmpty)
    tokens.pass(seconds: 1)
    #expect(client.take().last?.string("reason") == "the token has expired")
    #expect(tokens.bench.closes[client.connection] == 4401)
  }

  @Test("lives as long as the newest token of the same user, longer or shorter")
  func again() {
    let tokens = TokenBench()
    tokens.table["short"] = tokens.identity("ann", seconds: 20)
    tokens.table["long"] = tokens.identity("ann", seconds: 100, info: "{\"role\":2}")
    tokens.table["shorter"] = tokens.identity("ann", seconds: 60)
    let client = tokens.bench.arrive(token: "short")
    _ = client.take()
    tokens.pass(seconds: 10)
    #expect(client.send(#"{"type":"auth","token":"long"}"#).map(\.type) == ["auth_success"])
    let whoami = client.send(#"{"type":"request","action":"whoami"}"#).first
    #expect(whoami?.description.contains(#""info":{"role":2}"#) == true)
    tokens.pass(seconds: 40)
    #expect(tokens.bench.closes.isEmpty)
    #expect(client.send(#"{"type":"auth","token":"shorter"}"#).map(\.type) == ["auth_success", "token_expires"])
    tokens.pass(seconds: 9)
    #expect(tokens.bench.closes.isEmpty)
    tokens.pass(seconds: 1)
    #expect(tokens.bench.closes[client.connection] == 4401)
  }

  @Test("takes no more memory however often a connection authenticates again")
  func memory() {
    let tokens = TokenBench()
    tokens.table["a"] = tokens.identity("ann", seconds: 500)
    tokens.table["b"] = tokens.identity("ann", seconds: 400)
    let client = tokens.bench.arrive(token: "a")
    for _ in 0..<100 {
      client.send(#"{"type":"auth","token":"a"}"#)
      client.send(#"{"type":"auth","token":"b"}"#)
    }
    #expect(tokens.bench.hub.authentication.deadlineCount <= 2)
    #expect(tokens.bench.hub.authentication.isIdle)
  }

  @Test("tells a client once, twenty seconds before its token expires, and again for the next token")
  func notice() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 60)
    let expiry = Int(tokens.bench.clock.milliseconds) + 60_000
    let client = tokens.bench.arrive(token: "t")
    #expect(client.take().map(\.type) == ["welcome"])
    tokens.pass(seconds: 39)
    #expect(client.take().isEmpty)
    tokens.pass(seconds: 1)
    let told = client.take()
    #expect(told.map(\.type) == ["token_expires"] && told.first?.int("at") == expiry)
    tokens.pass(seconds: 10)
    #expect(client.take().isEmpty)
    tokens.table["u"] = tokens.identity("ann", seconds: 40)
    #expect(client.send(#"{"type":"auth","token":"u"}"#).map(\.type) == ["auth_success"])
    tokens.pass(seconds: 19)
    #expect(client.take().isEmpty)
    tokens.pass(seconds: 2)
    #expect(client.take().map(\.type) == ["token_expires"])
    tokens.pass(seconds: 20)
    #expect(client.take().map(\.type) == ["auth_failed"])
    #expect(tokens.bench.closes[client.connection] == 4401)
  }

  @Test("tells a client at once that its token has less than that left, behind its greeting or its answer")
  func noticeAtOnce() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 5)
    #expect(tokens.bench.arrive(token: "t").take().map(\.type) == ["welcome", "token_expires"])
    let client = tokens.bench.arrive()
    _ = client.take()
    #expect(client.send(#"{"type":"auth","token":"t"}"#).map(\.type) == ["auth_success", "token_expires"])
    tokens.pass(seconds: 4)
    #expect(client.take().isEmpty)
  }

  @Test("sends away, and not for good, whose token could not be judged in time")
  func judgedTooLate() {
    let tokens = TokenBench()
    tokens.isPending = true
    let client = tokens.bench.arrive(token: "ann")
    _ = client.take()
    tokens.pass(seconds: 10)
    #expect(client.take().map { $0.string("code") } == ["unavailable"])
    #expect(tokens.bench.closes[client.connection] == 1013)
    tokens.judgeAll()
    #expect(client.take().isEmpty)
  }

  @Test("keeps a client whose newer token cannot be judged, until the old one expires, and sends it away not for good")
  func renewalUnjudged() {
    let tokens = TokenBench()
    for isPending in [false, true] {
      tokens.table["t"] = tokens.identity("ann", seconds: 60)
      (tokens.isOutOfReach, tokens.isPending) = (false, false)
      let client = tokens.bench.arrive(token: "t")
      _ = client.take()
      (tokens.isOutOfReach, tokens.isPending) = (true, isPending)
      let answer = client.send(#"{"type":"auth","token":"t","id":"a"}"#)
      #expect(answer.map { $0.string("code") } == (isPending ? [] : ["unavailable"]))
      #expect(tokens.bench.closes[client.connection] == nil)
      #expect(client.send(#"{"type":"ping"}"#).map(\.type) == ["pong"])
      tokens.pass(seconds: 60)
      #expect(client.take().last?.string("code") == "unavailable")
      #expect(tokens.bench.closes[client.connection] == 1013)
      tokens.bench.hub.close(client.session)
    }
  }

  @Test("takes a later token of a client whose newer one could not be judged, and ends it for good by that one")
  func renewalJudgedLater() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 60)
    let client = tokens.bench.arrive(token: "t")
    tokens.isOutOfReach = true
    client.send(#"{"type":"auth","token":"t"}"#)
    tokens.isOutOfReach = false
    #expect(client.send(#"{"type":"auth","token":"t"}"#).map(\.type) == ["auth_success"])
    tokens.pass(seconds: 60)
    #expect(tokens.bench.closes[client.connection] == 4401)
  }

  @Test("forgets the deadlines of clients that come and go with long-lived tokens")
  func churn() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 86_400)
    let staying = tokens.bench.arrive(token: "t")
    for _ in 0..<10_000 {
      let client = tokens.bench.arrive(token: "t")
      tokens.bench.hub.close(client.session)
    }
    #expect(tokens.bench.hub.authentication.deadlineCount < 5000)
    tokens.pass(seconds: 1)
    #expect(tokens.bench.closes.isEmpty)
    tokens.bench.clock.milliseconds += 86_400_000
    tokens.bench.hub.expire()
    #expect(tokens.bench.closes[staying.connection] == 4401 && tokens.bench.hub.authentication.deadlineCount == 0)
  }

  @Test("ends a connection that shows another user's token, or a wrong one", arguments: ["bob", "bad"])
  func otherUser(token: String) {
    let tokens = TokenBench()
    let client = tokens.bench.arrive(token: "ann")
    _ = client.take()
    client.join()
    #expect(client.send(#"{"type":"auth","token":"\#(token)"}"#).map(\.type) == ["auth_failed"])
    #expect(tokens.bench.closes[client.connection] == 4401)
  }

  @Test("shows a token's info in presence")
  func presence() {
    let tokens = TokenBench()
    tokens.table["t"] = tokens.identity("ann", seconds: 30, info: #"{"name":"Ann","n":1.50}"#)
    let client = tokens.bench.arrive(token: "t")
    _ = client.take()
    client.join()
    let text = client.send(#"{"type":"presence","room":"r"}"#).first?.description
    #expect(text?.contains(#""info":{"name":"Ann","n":1.50}"#) == true, "\(text ?? "nothing")")
  }

  @Test("forgets a session that ended while its token was being judged")
  func gone() {
    let tokens = TokenBench()
    tokens.isPending = true
    let client = tokens.bench.arrive(token: "ann")
    tokens.bench.hub.close(client.session)
    tokens.judgeAll()
    #expect(tokens.bench.hub.context.users.count == 0 && tokens.bench.hub.authentication.isIdle)
  }
}

@Suite("Deadlines")
struct DeadlineTests {
  @Test("come due in the order of time, whatever the order they were added in (100 seeds)")
  func order() {
    for seed in UInt64(1)...100 {
      var random = SeededGenerator(seed: seed)
      var deadlines = Deadlines()
      let moments = (0..<50).map { _ in random.next() % 1000 }
      for (index, moment) in moments.enumerated() {
        deadlines.add(SlabID(index: UInt32(index), generation: 1), at: moment)
      }
      var due: [UInt64] = []
      for now in stride(from: UInt64(0), through: 1000, by: 100) {
        while let (id, moment) = deadlines.popDue(at: now) {
          #expect(moment <= now && moments[Int(id.index)] == moment, "seed \(seed)")
          due.append(moment)
        }
        #expect(deadlines.count == moments.count { $0 > now }, "seed \(seed)")
      }
      #expect(due == moments.sorted(), "seed \(seed)")
    }
  }
}
