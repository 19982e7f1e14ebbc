import LoopCore
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

extension TestNode {
  /// Asks a node and drives both until the answer is there.
  func question(_ other: String, _ text: String, within milliseconds: Int = 5000, _ others: [TestNode] = []) throws
    -> NodeAnswer
  {
    var answers: [NodeAnswer] = []
    broker.ask(node: bytes(other), bytes(text), withinMilliseconds: milliseconds) { answers.append($0) }
    let isAnswered = drive([self] + others, within: 8) {
      (broker as? EmbeddedBroker)?.expire()
      return !answers.isEmpty
    }
    try #require(isAnswered, "no answer")
    return answers[0]
  }

  /// Answers every question with the question and an exclamation mark.
  func echoQuestions() { heard.onQuestion = { $1($0 + bytes("!")) } }
}

/// Questions between nodes.
@Suite(.serialized)
struct NodeQuestionsTests {
  @Test("asks a node and takes its answer, of any bytes", arguments: BrokerKind.allCases)
  func answered(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    node.echoQuestions()
    for text in ["", "x", "? 1 2 n1", "! 5 \u{0}\r\n*3\r\n", String(repeating: "é", count: 100_000)] {
      #expect(try node.question("n1", text) == .answered(bytes(text + "!")))
    }
    #expect(node.heard.questions.allSatisfy { $0.node == "n1" })
  }

  @Test("answers at once that a node is not there", arguments: BrokerKind.allCases)
  func absent(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    for name in ["n2", "", "}:ch", "n1}:probe", String(repeating: "x", count: 300)] {
      // The time of the question is far longer than the test waits.
      #expect(try node.question(name, "hello", within: 600_000) == .absent)
    }
    #expect(node.heard.questions.isEmpty)
  }

  @Test("gives up when the time is over, and drops what is answered later", arguments: BrokerKind.allCases)
  func late(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    var late: [([UInt8]) -> Void] = []
    node.heard.onQuestion = { late.append($1) }
    #expect(try node.question("n1", "first", within: 50) == .unavailable)
    late[0](bytes("too late"))
    node.heard.onQuestion = { question, answer in
      answer(bytes("one"))
      answer(bytes("two"))
    }
    #expect(try node.question("n1", "second") == .answered(bytes("one")))
    #expect(try node.question("n1", "third") == .answered(bytes("one")))
  }

  @Test("refuses a question and an answer that are too large", arguments: [BrokerKind.embedded, .redis])
  func tooLarge(kind: BrokerKind) throws {
    let node = try Bench(kind).node
    let text = String(repeating: "x", count: QuestionLimits.questionBytesMax + 1)
    #expect(try node.question("n1", text) == .unavailable)
    #expect(node.heard.questions.isEmpty)
    node.heard.onQuestion = { $1([UInt8](repeating: 0x78, count: QuestionLimits.answerBytesMax + 1)) }
    #expect(try node.question("n1", "hello", within: 600_000) == .unavailable)
  }

  @Test("asks across nodes, many questions at once, each with its own answer")
  func acrossNodes() throws {
    let server = try RedisServer()
    let nodes = [try TestNode("n-1", on: server), try TestNode("n-2", on: server)]
    try #require(drive(nodes) { nodes.allSatisfy(\.isUp) })
    var held: [() -> Void] = []
    for node in nodes { node.heard.onQuestion = { question, answer in held.append { answer(question + bytes("!")) } } }
    var answers: [String: NodeAnswer] = [:]
    for i in 0..<200 {
      let (asker, asked) = i % 2 == 0 ? (nodes[0], "n-2") : (nodes[1], "n-1")
      asker.broker.ask(node: bytes(asked), bytes("q\(i)"), withinMilliseconds: 60_000) { answers["q\(i)"] = $0 }
    }
    #expect(drive(nodes) { held.count == 200 })
    for answer in held.reversed() { answer() }
    #expect(drive(nodes) { answers.count == 200 })
    for i in 0..<200 { #expect(answers["q\(i)"] == .answered(bytes("q\(i)!"))) }
    #expect(nodes[1].heard.questions.allSatisfy { $0.node == "n-1" })
    // A node that has ended is absent at once.
    nodes[1].redis?.abandon()
    #expect(drive(nodes) { (try? nodes[0].question("n-2", "still there?", within: 600_000)) == .absent })
  }

  @Test("asks across the masters of a cluster, and finds absent nodes there too")
  func acrossMasters() throws {
    let first = try Bench.clusterNode { _ in }
    let prefix = try #require(first.redis).context.configuration.prefix
    let others = try (2...6).map { i in
      try TestNode("n\(i)", on: nil) {
        $0.topology = first.redis!.context.configuration.topology  // Safe because a cluster's node has a Redis.
        $0.prefix = prefix
      }
    }
    try #require(drive([first] + others) { first.isUp && others.allSatisfy(\.isUp) })
    for node in others { node.echoQuestions() }
    for node in others {
      #expect(try first.question(node.id, "to \(node.id)", others) == .answered(bytes("to \(node.id)!")))
    }
    for i in 7..<20 { #expect(try first.question("n\(i)", "hello", within: 600_000, others) == .absent) }
  }

  @Test("asks through the master that sentinels name")
  func sentinels() throws {
    let trio = try SentinelTrio()
    let nodes = try (1...2).map { i in
      try TestNode("n\(i)", on: nil) {
        $0.topology = .sentinel(trio.ports.map { .tcp(host: "127.0.0.1", port: $0) }, master: SentinelTrio.name)
      }
    }
    try #require(drive(nodes, within: 15) { nodes.allSatisfy(\.isUp) })
    nodes[1].echoQuestions()
    #expect(try nodes[0].question("n2", "hello", [nodes[1]]) == .answered(bytes("hello!")))
    #expect(try nodes[0].question("n3", "hello", within: 600_000, [nodes[1]]) == .absent)
  }

  @Test(
    "ends what it has asked when a connection to Redis is lost, and asks again afterwards",
    arguments: ["commands", "subscriber"])
  func lostConnection(name: String) throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    var answers: [NodeAnswer] = []
    node.broker.ask(node: bytes("n1"), bytes("q"), withinMilliseconds: 600_000) { answers.append($0) }
    #expect(drive([node]) { node.heard.questions.count == 1 })
    let id = try #require(server.clients(named: name).first)
    server.run("CLIENT", "KILL", "ID", id)
    #expect(drive([node]) { answers == [.unavailable] })
    node.echoQuestions()
    #expect(drive([node]) { (try? node.question("n1", "again")) == .answered(bytes("again!")) })
    server.kill()
    #expect(drive([node]) { node.heard.lost == 2 })
    #expect(try node.question("n1", "away", within: 600_000) == .unavailable)
  }

  @Test("ignores what is neither a question nor an answer")
  func garbage() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    node.echoQuestions()
    let channel = String(decoding: try #require(node.redis).context.keys.nodeChannel(bytes("n1")), as: UTF8.self)
    let texts = [
      "", "?", "!", "-", "x", "?1", "!1", "? 1 n1", "?x 2 n1", "?1 x n1", "?1 3 n1", "?1 0 q",
      "?1 99999999999999999999 n1",
      "?99999999999999999999 2 n1q", "?18446744073709551615 18446744073709551615 n1", "!18446744073709551615 late",
      "!123456789012345678901234567890 x", "-1 ", "\u{0}\u{1}", "?1 -2 n1",
    ]
    for text in texts { server.run("PUBLISH", channel, text) }
    #expect(try node.question("n1", "well") == .answered(bytes("well!")))
    #expect(node.heard.questions.map(\.text) == ["well"])
  }

  @Test("costs two commands, and one channel for each node")
  func cost() throws {
    let server = try RedisServer()
    let node = try TestNode("n1", on: server)
    try #require(drive([node]) { node.isUp })
    node.echoQuestions()
    func publishes() -> Int {
      let line = (server.run("INFO", "commandstats") ?? "").split(separator: "\r\n").first {
        $0.hasPrefix("cmdstat_publish:")
      }
      return line.flatMap { Int($0.split(separator: "=")[1].prefix { $0.isNumber }) } ?? 0
    }
    let channels = (server.run("PUBSUB", "CHANNELS", "*}:ch") ?? "").split(separator: "\n").map(String.init)
    #expect(channels.contains { $0.contains("{n:n1}:ch") })
    let before = publishes()
    for i in 0..<100 { #expect(try node.question("n1", "q\(i)") == .answered(bytes("q\(i)!"))) }
    // The health check publishes now and then.
    #expect((200...210).contains(publishes() - before))
  }
}

/// The questions that wait.
struct PendingQuestionsTests {
  @Test("gives every waiter back once: by its number, by its time, or by its node")
  func once() throws {
    var pending = PendingQuestions<Int>(first: .max - 1, max: 3)
    let added = [
      pending.add(to: bytes("a"), until: 1000, 1), pending.add(to: bytes("b"), until: 2000, 2),
      pending.add(to: bytes("b"), until: 2000, 3),
    ]
    let numbers = added.compactMap { $0 }
    let refused = pending.add(to: bytes("c"), until: 2000, 4)
    #expect(refused == nil && Set(numbers).count == 3)
    let (first, again) = (pending.take(numbers[0]), pending.take(numbers[0]))
    #expect(first == 1 && again == nil)
    let early = pending.takeDue(at: 1999)
    let due = pending.takeDue(at: 2000 + PendingQuestions<Int>.stepMilliseconds)
    #expect(early.isEmpty && due.sorted() == [2, 3] && pending.isEmpty)
    _ = pending.add(to: bytes("a"), until: 9000, 5)
    _ = pending.add(to: bytes("b"), until: 9000, 6)
    let ofNode = pending.take { $0 == bytes("b") }
    #expect(ofNode == [6] && pending.count == 1)
  }
}
