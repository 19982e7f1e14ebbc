import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("One node, webhooks", .serialized)
struct WebhookTests {
  private let receiver: WebhookReceiver

  init() throws { receiver = try WebhookReceiver() }

  private func node(_ flags: [String] = []) throws -> RoostProcess {
    try RoostProcess(receiver.flags + ["--node-id", "n1", "--drain", "0s"] + flags)
  }

  private func names(_ events: [JSONValue]) -> [String] { events.compactMap { $0["event"]?.asString } }

  private func metric(_ node: RoostProcess, _ outcome: String) throws -> Double {
    try node.metric("roost_webhook_deliveries_total{outcome=\"\(outcome)\"}")
  }

  @Test("posts what happens on it, each event once and in its order")
  func events() throws {
    let node = try node()
    let ann = try node.connect("ann")
    try ann.join("r")
    try ann.publish("r", #""n":1,"big":12345678901234567890,"user":"eve""#)
    try ann.send(binary: [1, 1, 0x72, 9, 8])
    try ann.ask(#""type":"leave","room":"r""#)
    ann.connection.closeNow()
    let expected = [
      "connected", "room_created", "user_joined", "message", "message", "user_left", "room_emptied", "disconnected",
    ]
    try eventually("all events came") { try receiver.events().count >= expected.count }
    let events = try receiver.events()
    #expect(names(events) == expected)
    #expect(Set(events.compactMap { $0["id"]?.asString }).count == expected.count)
    #expect(events.allSatisfy { ($0["ts"]?.asInt ?? 0) > 1_700_000_000_000 })
    for event in [events[0], events[7]] {
      #expect(event["user"]?.asString == "ann" && event["transport"]?.asString == "websocket")
      #expect(event["address"]?.asString == "127.0.0.1" && event["node"]?.asString == "n1")
      #expect(event["connection"]?.asString?.hasPrefix("n1-") == true)
    }
    for event in events[1...6] { #expect(event["room"]?.asString == "r") }
    for event in [events[2], events[3], events[4], events[5]] { #expect(event["user"]?.asString == "ann") }
    let epoch = try #require(events[3]["epoch"]?.asString)
    #expect(events[3]["offset"]?.asInt == 1 && events[3]["id"]?.asString == "r:\(epoch):1")
    #expect(events[3]["data"]?["user"] == nil)
    let text = String(decoding: receiver.requests()[3].body, as: UTF8.self)
    #expect(text.hasSuffix(#""data":{"n":1,"big":12345678901234567890}}"#), "\(text)")
    #expect(events[4]["binary"]?.asString == "CQg=" && events[4]["offset"]?.asInt == 2)
    try eventually("all are counted") { try metric(node, "delivered") == Double(expected.count) }
    #expect(try metric(node, "failed") == 0 && metric(node, "dropped") == 0)
    #expect(try node.metric("roost_webhook_queue_events") == 0)
  }

  @Test("posts the events that are wanted, as many in one post as may be, and never waits for the receiver")
  func batches() throws {
    try receiver.folder.write("stall", [])
    let node = try node(["--webhook-events", "message", "--webhook-batch", "10", "--webhook-timeout", "60s"])
    let ann = try node.connect("ann")
    try ann.join("r")
    // All are acknowledged while the first post has no answer.
    for n in 1...25 { #expect(try ann.publish("r", "\"n\":\(n)") == n) }
    try eventually("the first post came") { receiver.requests().count > 0 }
    #expect(receiver.requests().count == 1)
    #expect(try node.metric("roost_webhook_queue_events") == 25 && metric(node, "delivered") == 0)
    try receiver.folder.remove("stall")
    try eventually("all events came") { try metric(node, "delivered") == 25 }
    #expect(try receiver.events().map { $0["offset"]?.asInt ?? 0 } == Array(1...25))
    let sizes = try receiver.requests().map { try JSONValue.parse($0.body.span).asArray?.count ?? 0 }
    #expect(sizes == [1, 10, 10, 4])
  }

  @Test("repeats what was not answered with 2xx until it is, and logs the state of the receiver when it changes")
  func failures() throws {
    try receiver.folder.write("status", Array("302".utf8))
    let node = try node(["--webhook-events", "message"])
    let ann = try node.connect("ann")
    try ann.join("r")
    for n in 1...3 { try ann.publish("r", "\"n\":\(n)") }
    try eventually("two posts failed") { try metric(node, "failed") >= 2 }
    try receiver.folder.write("status", Array("202".utf8))
    try eventually("all events came") { try metric(node, "delivered") == 3 }
    #expect(try receiver.distinctEvents().map { $0["offset"]?.asInt ?? 0 } == [1, 2, 3])
    #expect(receiver.requests(to: "/elsewhere").isEmpty)
    let lines = node.process.output.split(separator: "\n").filter { $0.contains("webhook") }
    #expect(lines.count == 2, "\(lines)")
    #expect(lines.first?.contains("status 302") == true && lines.last?.contains("is back") == true)
    #expect(!node.process.output.contains(WebhookReceiver.secret))
  }

  @Test("keeps a bounded number of events while the receiver is away, drops the oldest, counts them and logs it once")
  func bounds() throws {
    receiver.stop()
    let node = try node(["--webhook-events", "message", "--webhook-queue", "20"])
    let ann = try node.connect("ann")
    try ann.join("r")
    for n in 1...60 { #expect(try ann.publish("r", "\"n\":\(n)") == n) }
    try eventually("the others are dropped") { try metric(node, "dropped") == 40 }
    #expect(try node.metric("roost_webhook_queue_events") == 20)
    _ = try node.process.line(with: "dropped 4")
    try receiver.start()
    try eventually("the rest came") { try metric(node, "delivered") == 20 }
    let offsets = try receiver.distinctEvents().map { $0["offset"]?.asInt ?? 0 }
    #expect(offsets.suffix(19) == Array(42...60)[...] && offsets.count == 20)
    let old = try self.node(["--webhook-events", "message", "--webhook-queue-age", "1s", "--port", "0"])
    receiver.stop()
    let bob = try old.connect("bob")
    try bob.join("r")
    try bob.publish("r", #""n":1"#)
    try eventually("it is too old") { try metric(old, "dropped") == 1 }
  }

  @Test("delivers what it has when it stops, the end of its connections included")
  func stop() throws {
    let node = try node(["--leave-grace", "0s"])
    let ann = try node.connect("ann")
    try ann.join("r")
    node.process.signal(SIGTERM)
    #expect(try node.process.waitForEnd() == .exited(0))
    let names = try names(receiver.events())
    #expect(names.suffix(3) == ["disconnected", "user_left", "room_emptied"][...], "\(names)")
  }

  @Test("is verified by the examples of the documentation", arguments: ["python", "js"])
  func examples(language: String) throws {
    let node = try node(["--webhook-events", "connected"])
    _ = try node.connect("ann")
    try eventually("the event came") { receiver.requests().count == 1 }
    let request = receiver.requests()[0]
    let header = try #require(request.headers["roost-signature"])
    let root = #filePath.split(separator: "/", omittingEmptySubsequences: false).dropLast(3).joined(separator: "/")
    let page = String(decoding: try contents(of: root + "/docs/webhooks.md"), as: UTF8.self)
    let lines = page.split(separator: "\n", omittingEmptySubsequences: false)
    let begin = try #require(lines.firstIndex(of: "```\(language)"[...]))
    let code = lines[(begin + 1)...].prefix { $0 != "```" }.joined(separator: "\n")
    let body = String(decoding: request.body, as: UTF8.self)
    let secret = WebhookReceiver.secret
    let old = "t=1" + header.drop { $0 != "," }
    let cases = [
      ([body, header, "other," + secret], "true"), ([body + " ", header, secret], "false"),
      ([body, header, "other"], "false"), ([body, old, secret], "false"), ([body, "v1=", secret], "false"),
    ]
    for (arguments, expected) in cases {
      let command =
        language == "python"
        ? [
          "python3", "-c",
          code + "\nimport sys\na = sys.argv\nprint(str(verify(a[1].encode(), a[2], a[3].split(','))).lower())",
        ]
        : [
          "node", "--input-type=module", "-e",
          code + "\nconst a = process.argv\nconsole.log(verify(Buffer.from(a[1]), a[2], a[3].split(',')))",
        ]
      let process = try ChildProcess(command + arguments)
      #expect(try process.waitForEnd() == .exited(0), "\(process.output)")
      #expect(process.output == expected + "\n", "\(arguments) \(process.output)")
    }
  }

  @Test(
    "does not start with settings that cannot work",
    arguments: [
      (["--webhook-url", "http://localhost/"], "--webhook-secret"),
      (["--webhook-url", "http://localhost:99999/", "--webhook-secret", "s"], "--webhook-url"),
      (["--webhook-url", "http://[::1/", "--webhook-secret", "s"], "--webhook-url"),
      (["--webhook-url", "ftp://localhost/", "--webhook-secret", "s"], "http"),
      (["--webhook-events", "message,joined"], "user_joined"), (["--webhook-batch", "0"], "--webhook-batch"),
      (["--webhook-timeout", "1"], "--webhook-timeout"), (["--webhook-secret", "a,,b"], "--webhook-secret"),
    ])
  func badSettings(flags: [String], word: String) throws {
    let result = try RoostProcess.run(["serve", "--port", "0"] + flags)
    #expect(result.end == .exited(64), "\(result)")
    #expect(result.output.contains(word) && result.output.split(separator: "\n").count == 1, "\(result.output)")
  }
}
