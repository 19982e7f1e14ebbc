import Glibc
import TestSupport
import Testing

/// Prints the figures of docs/bridges.md: rates beside a plain client of the same library. `make bridges` runs it.
@Suite("Figures of bridges", .serialized, .enabled(if: Load.isLarge))
struct FiguresTests {
  private static let value = #"{"seq":0,"text":"\#(String(repeating: "x", count: 100))"}"#

  /// Seconds that the processes of bridges below a node have been at work.
  private func processorSeconds(of node: RoostProcess) throws -> Double {
    let children = try ChildProcess(["pgrep", "-P", "\(node.process.id)", "roost-bridges"])
    _ = try children.waitForEnd()
    let id = try #require(Int32(children.output.split(separator: "\n").first ?? ""))
    let stat = String(decoding: try contents(of: "/proc/\(id)/stat"), as: UTF8.self)
    let fields = stat.split(separator: ")").last?.split(separator: " ") ?? []
    let ticks = fields.count > 12 ? (Double(fields[11]) ?? 0) + (Double(fields[12]) ?? 0) : 0
    return ticks / Double(sysconf(Int32(_SC_CLK_TCK)))
  }

  /// Waits for a count, and returns the rate from the first to the last, and for each second of the bridge's processor time.
  private func measure(
    _ node: RoostProcess, _ total: Int, _ count: () throws -> Int
  ) throws -> (rate: Double, perProcessorSecond: Double) {
    try eventually("something comes", within: 60) { try count() > 0 }
    let (start, begin, work) = (Deadline.now(), try count(), try processorSeconds(of: node))
    try eventually("all has come", within: 300) {
      usleep(20_000)
      return try count() >= total
    }
    let seconds = Double(Deadline.now() - start) / 1e9
    let done = Double(total - begin)
    return (done / seconds, done / max(0.01, try processorSeconds(of: node) - work))
  }

  private func written(_ node: RoostProcess) throws -> Int {
    Int(try node.metric(#"roost_bridge_messages_total{bridge="f",direction="out",outcome="written"}"#))
  }

  private func published(_ node: RoostProcess) throws -> Int {
    Int(try node.metric(#"roost_bridge_messages_total{bridge="f",direction="in",outcome="published"}"#))
  }

  @Test("Kafka in and out, and a plain consumer and producer")
  func kafka() throws {
    let kafka = try KafkaCluster(topics: [("orders", 4), ("rooms", 4)])
    let total = Load.messages / 2
    let writer = try RecordWriter(kafka.servers)
    let start = Deadline.now()
    for number in 0..<total { try writer.write("orders", key: "\(number % Load.keys)", Self.value) }
    try writer.flush()
    let producer = Double(total) / (Double(Deadline.now() - start) / 1e9)
    let began = Deadline.now()
    let read = try RecordReader(kafka.servers, topic: "orders", partitions: 4).read(within: 60) { $0.count >= total }
    let consumer = Double(read.count) / (Double(Deadline.now() - began) / 1e9)
    let inward = try BridgeCluster(
      #"{"name":"f","kind":"kafka","url":"\#(kafka.url)","in":[{"topic":"orders","room":"in:{key}"}]}"#)
    let node = try inward.addNode()
    let rates = try measure(node, total) { try published(node) }
    print(
      "Kafka in: \(Int(rates.rate))/s, \(Int(rates.perProcessorSecond)) a processor second; plain consumer \(Int(consumer))/s"
    )
    inward.kill(0)
    let outward = try BridgeCluster(
      #"{"name":"f","kind":"kafka","url":"\#(kafka.url)","out":[{"match":"out:*","topic":"rooms"}]}"#)
    // What is there when the bridge begins to write is the most that it can take.
    try outward.publish(0..<total, by: try outward.plainNode())
    let other = try outward.addNode()
    let out = try measure(other, total) { try written(other) }
    print(
      "Kafka out: \(Int(out.rate))/s, \(Int(out.perProcessorSecond)) a processor second; plain producer \(Int(producer))/s"
    )
  }

  @Test("RabbitMQ in and out, and a plain consumer")
  func rabbit() throws {
    let rabbit = try RabbitProcess()
    let total = Load.messages / 2
    let client = try RabbitClient(rabbit)
    for queue in ["orders", "plain"] { try client.declare(queue: queue) }
    try client.confirmPublishes()
    let start = Deadline.now()
    for number in 0..<total {
      for queue in ["orders", "plain"] { try client.publish(queue: queue, id: "\(queue)\(number)", Self.value) }
    }
    try client.awaitConfirms(UInt64(2 * total))
    let producer = Double(2 * total) / (Double(Deadline.now() - start) / 1e9)
    let began = Deadline.now()
    let read = try RabbitClient(rabbit).read(queue: "plain", within: 60) { $0.count >= total }
    let consumer = Double(read.count) / (Double(Deadline.now() - began) / 1e9)
    let inward = try BridgeCluster(
      #"{"name":"f","kind":"amqp","url":"\#(rabbit.url)","in":[{"queue":"orders","room":"in:all"}]}"#)
    let node = try inward.addNode()
    let rates = try measure(node, total) { try published(node) }
    print(
      "RabbitMQ in: \(Int(rates.rate))/s, \(Int(rates.perProcessorSecond)) a processor second; plain consumer \(Int(consumer))/s"
    )
    inward.kill(0)
    try client.declare(exchange: "rooms", into: "copies")
    let outward = try BridgeCluster(
      #"{"name":"f","kind":"amqp","url":"\#(rabbit.url)","out":[{"match":"out:*","exchange":"rooms"}]}"#)
    try outward.publish(0..<total, by: try outward.plainNode())
    let other = try outward.addNode()
    let out = try measure(other, total) { try written(other) }
    print(
      "RabbitMQ out: \(Int(out.rate))/s, \(Int(out.perProcessorSecond)) a processor second; plain producer \(Int(producer))/s"
    )
  }
}
