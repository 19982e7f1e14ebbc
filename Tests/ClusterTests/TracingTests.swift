import JSONCore
import TestSupport
import Testing

/// Traces over two nodes, with a real collector and a real webhook.
@Suite("Traces of a cluster", .serialized)
struct TracingTests {
  private static let trace = "0af7651916cd43dd8448eb211c80319c"
  private static let parent = "b7ad6b7169203331"
  private static let header = "traceparent: 00-\(trace)-\(parent)-01"
  private static let admin = ["Authorization: Bearer \(RoostProcess.adminToken)", "Content-Type: application/json"]

  private let collector: TraceCollector

  init() throws { collector = try TraceCollector() }

  private func spans(_ count: Int) throws -> [TraceCollector.Span] {
    try eventually("\(count) spans came", within: 20) { try collector.spans().count >= count }
    #expect(collector.problems.isEmpty, "\(collector.problems)")
    return try collector.spans()
  }

  private func dropped(_ node: RoostProcess) throws -> Double {
    try node.metric(#"roost_trace_spans_total{outcome="dropped"}"#)
  }

  @Test(
    "one publish is one trace: operation, Redis, the delivery on each node, and the webhook, whose receiver can go on")
  func oneTrace() throws {
    let receiver = try WebhookReceiver()
    let cluster = try Cluster(
      2, receiver.flags + ["--webhook-events", "message", "--otlp-url", collector.url, "--log-level", "debug"])
    let members = try cluster.members(of: "r")
    let answer = try cluster.nodes[0].http.ask(
      "POST", "/admin/publish", headers: Self.admin + [Self.header], body: #"{"room":"r","data":{"n":1}}"#)
    #expect(answer.status == 200)
    for member in members { #expect(try member.expect("message").int("n") == 1) }
    let spans = try spans(5)
    try #require(spans.count == 5)
    #expect(spans.allSatisfy { $0.trace == Self.trace })
    func one(_ name: String, on node: String) throws -> TraceCollector.Span {
      try #require(spans.first { $0.name == name && $0.node == node }, "\(name) on \(node)")
    }
    let publish = try one("publish", on: "n1")
    #expect(publish.parent == Self.parent && publish.kind == 2 && publish.attribute("roost.offset") == "1")
    let redis = try one("redis publish", on: "n1")
    #expect(redis.parent == publish.id && redis.kind == 4)
    for node in ["n1", "n2"] {
      let delivery = try one("deliver", on: node)
      #expect(delivery.parent == redis.id && delivery.kind == 5)
      #expect(delivery.attribute("messaging.destination.name") == "r")
      #expect(delivery.attribute("roost.connections") == "1")
    }
    let post = try one("webhook post", on: "n1")
    #expect(post.parent == redis.id && post.kind == 3 && post.attribute("http.response.status_code") == "200")
    let request = try #require(receiver.requests().first)
    #expect(request.headers["traceparent"] == "00-\(Self.trace)-\(post.id)-01")
    #expect(try receiver.events().first?["traceparent"]?.asString == "00-\(Self.trace)-\(redis.id)-01")
    for node in cluster.nodes { #expect(try dropped(node) == 0) }
    // The log has it, too: the request, and the message.
    let log = cluster.nodes[0].process.output
    #expect(log.contains(#""message":"published","room":"r","offset":1,"trace":"00-\#(Self.trace)-\#(redis.id)-01""#))
    #expect(log.contains(#""trace":"00-\#(Self.trace)-\#(Self.parent)-01""#))
  }

  @Test(
    "each way to publish takes a trace, by header or member; without one, or with none that is valid, there is no span")
  func ways() throws {
    let cluster = try Cluster(2, ["--otlp-url", collector.url])
    let members = try cluster.members(of: "r")
    func header(_ n: Int) -> String { "traceparent: 00-\(n)0000000000000000000000000000000-\(Self.parent)-01" }
    func member(_ n: Int) -> String { #""traceparent":"00-\#(n)0000000000000000000000000000000-\#(Self.parent)-01""# }
    let node = cluster.nodes[1]
    try members[1].publish("r", "\"n\":0")
    try members[1].publish("r", #""traceparent":"00-nonsense""#)
    _ = try node.http.ask(
      "POST", "/send?user=eve", headers: ["traceparent: 00-nonsense"], body: #"{"type":"message","room":"r"}"#)
    _ = try node.http.ask(
      "POST", "/send?user=eve", headers: [header(9), header(9)], body: #"{"type":"message","room":"r"}"#)
    try members[1].publish("r", member(1))
    func send(_ n: Int, _ query: String, _ type: String, _ body: String) throws {
      let answer = try node.http.ask(
        "POST", "/send?\(query)", headers: ["Content-Type: \(type)", header(n)], body: body)
      #expect(answer.status == 200 && !answer.text.contains("error"), "\(answer)")
    }
    try send(2, "user=eve", "application/json", #"{"type":"message","room":"r"}"#)
    try send(3, "user=eve", "application/x-ndjson", #"{"type":"message","room":"r"}"#)
    // By way of the other node, to the one that has the connection.
    let bob = try PollClient(node, "bob")
    let answer = try cluster.nodes[0].http.ask(
      "POST", "/send?user=bob&connection=\(bob.name)", headers: [header(4)],
      body: #" {"type":"message","room":"r","n":4}"#)
    #expect(answer.status == 200, "\(answer)")
    try #require(
      node.http.ask(
        "POST", "/admin/batch", headers: Self.admin + [header(5)],
        body: #"{"type":"publish","room":"r","data":{}}"# + "\n"
          + #"{"type":"direct","to":"u1","data":{},\#(member(6))}"# + "\n"
          + #"{"type":"broadcast","data":{},"traceparent":7}"#
      ).text.contains("error") == false)
    try #require(
      node.http.ask(
        "POST", "/admin/publish", headers: Self.admin + [header(9)], body: #"{"room":"r","data":{},\#(member(7))}"#
      ).status == 200)
    try members[0].expect("broadcast")
    let traces = { (spans: [TraceCollector.Span]) in Set(spans.map { $0.trace.prefix(1) }) }
    let all: Set<Substring> = ["1", "2", "3", "4", "5", "6", "7"]
    try eventually("every publish has come", within: 20) {
      try collector.spans().count { $0.name == "publish" } >= 8
    }
    try eventually("each was delivered", within: 20) {
      try traces(collector.spans().filter { $0.name == "deliver" && $0.node == "n1" }).isSuperset(of: all)
    }
    #expect(try traces(collector.spans()) == all)
    #expect(collector.problems.isEmpty, "\(collector.problems)")
    let publishes = try collector.spans().filter { $0.name == "publish" }
    #expect(publishes.count == 8 && publishes.allSatisfy { $0.parent == Self.parent && $0.node == "n2" })
  }

  @Test("a collector that is away or stands still holds nothing up: what is too much is dropped and counted")
  func collectorAway() throws {
    try collector.folder.write("stall", [])
    let cluster = try Cluster(2, ["--otlp-url", collector.url, "--otlp-sample", "1", "--drain", "0s"])
    let members = try cluster.members(of: "r")
    // Two spans of each publish on the first node, and one of its delivery on each.
    let count = 1500
    for n in 0..<count { try members[0].send(#"{"type":"message","room":"r","n":\#(n)}"#) }
    for n in 0..<count { #expect(try members[1].expect("message").int("n") == n) }
    try eventually("spans are dropped") { try dropped(cluster.nodes[0]) > 0 }
    #expect(collector.postCount >= 1)
    collector.stop()
    try members[0].publish("r", #""n":"away""#)
    try members[1].expect("message") { $0.string("n") == "away" }
    let line = "the collector of traces fails"
    try eventually("the log says so", within: 30) { cluster.nodes[0].process.output.contains(line) }
    #expect(cluster.nodes[0].process.output.split(separator: "\n").count { $0.contains(line) } == 1)
    try collector.folder.remove("stall")
    try collector.start()
    try eventually("spans come again", within: 60) { try collector.spans().contains { $0.node == "n1" } }
    #expect(collector.problems.isEmpty, "\(collector.problems)")
  }

  @Test("a question and a request of a traced operation carry its trace to the backend")
  func questions() throws {
    let backend = try WebhookReceiver()
    try backend.folder.write("body", Array(#"{"ok":true}"#.utf8))
    let node = try RoostProcess(
      backend.flags + ["--webhook-ask", "message", "--webhook-events", "request", "--otlp-url", collector.url])
    let ann = try node.connect("ann")
    try ann.join("r")
    let member = #""traceparent":"00-\#(Self.trace)-\#(Self.parent)-01""#
    try ann.publish("r", member)
    try ann.ask(#""type":"request","action":"a",\#(member)"#)
    let posts = try spans(4).filter { $0.name == "webhook post" }
    #expect(posts.count == 2 && posts.allSatisfy { $0.parent == Self.parent })
    #expect(
      Set(backend.requests().compactMap { $0.headers["traceparent"] })
        == Set(posts.map { "00-\(Self.trace)-\($0.id)-01" }))
  }
}
