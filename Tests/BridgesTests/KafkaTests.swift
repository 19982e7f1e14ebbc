import Glibc
import TestSupport
import Testing

/// Bridges to Kafka between real processes, treated badly.
@Suite("Bridges to Kafka", .serialized)
struct KafkaTests {
  private static let partitions: Int32 = 4
  private static let options =
    #""options":{"session.timeout.ms":"6000","heartbeat.interval.ms":"500","reconnect.backoff.max.ms":"500"}"#

  private static func input(_ url: String) -> String {
    #"{"name":"k","kind":"kafka","url":"\#(url)",\#(options),"in":[{"topic":"orders","room":"in:{key}","deadLetter":"bad"}]}"#
  }

  private static func output(_ url: String) -> String {
    #"{"name":"k","kind":"kafka","url":"\#(url)",\#(options),"out":[{"match":"out:*","topic":"rooms","key":"{room}"}]}"#
  }

  @Test(
    "records come into rooms once and in order, also when the broker goes away and a node is killed; bad ones are dead letters"
  )
  func comesIn() throws {
    let kafka = try KafkaCluster(topics: [("orders", Self.partitions), ("bad", 1)])
    try comesIn(kafka.url, kafka.servers) { kafka.setAway($0) }
  }

  @Test("the same with a broker that is no part of librdkafka", .enabled(if: getenv("TANSU") != nil))
  func comesInFromTansu() throws {
    guard let tansu = try TansuBroker() else { return }
    try comesIn("kafka://\(tansu.servers)", tansu.servers) { _ in }
  }

  private func comesIn(_ url: String, _ servers: String, _ setAway: (Bool) -> Void) throws {
    let cluster = try BridgeCluster(Self.input(url))
    let total = Load.messages
    let writer = try RecordWriter(servers)
    try write(writer, 0..<total / 2)
    try cluster.addNode()
    try eventually("records come", within: 60) { try cluster.count(of: "in:0") > 0 }
    setAway(true)
    try cluster.addNode()
    setAway(false)
    // The first node dies with records on their way.
    let half = try count(cluster)
    try eventually("more records come", within: 60) { try count(cluster) > half || count(cluster) >= total / 2 }
    cluster.kill(0)
    try write(writer, total / 2..<total)
    try eventually("all records are in rooms", within: Load.seconds) { try count(cluster) >= total }
    var tally = Tally()
    for key in 0..<Load.keys {
      tally.add(try cluster.sequence(of: "in:\(key)"), of: Sequences.count(of: key, total: total))
    }
    #expect(tally == .perfect, "\(tally)")
    let letters = try RecordReader(servers, topic: "bad", partitions: 1).read(within: 20) { $0.count >= 2 }
    #expect(letters.count >= 2 && letters.allSatisfy { $0.value == "nonsense" })
    #expect(letters.allSatisfy { $0.headers["roost-reason"]?.isEmpty == false && $0.headers["tenant"] == "acme" })
    let node = cluster.nodes[1]
    #expect(try node.metric(#"roost_bridge_messages_total{bridge="k",direction="in",outcome="published"}"#) > 0)
    #expect(try node.metric(#"roost_bridge_up{bridge="k"}"#) == 1)
    print("Kafka in: \(total) records, \(tally)")
  }

  private func write(_ writer: RecordWriter, _ numbers: Range<Int>) throws {
    for number in numbers {
      try writer.write("orders", key: "\(number % Load.keys)", #"{"seq":\#(number / Load.keys)}"#)
    }
    try writer.write("orders", key: "0", "nonsense")
    try writer.flush()
  }

  private func count(_ cluster: BridgeCluster) throws -> Int {
    try (0..<Load.keys).reduce(0) { try $0 + cluster.count(of: "in:\($1)") }
  }

  @Test("messages go out once and in order, also when the broker goes away and the node that writes them is killed")
  func goesOut() throws {
    let kafka = try KafkaCluster(topics: [("rooms", Self.partitions)])
    try goesOut(kafka.url, kafka.servers) { kafka.setAway($0) }
  }

  @Test("the same to a broker that is no part of librdkafka", .enabled(if: getenv("TANSU") != nil))
  func goesOutToTansu() throws {
    guard let tansu = try TansuBroker() else { return }
    try goesOut("kafka://\(tansu.servers)", tansu.servers) { _ in }
  }

  private func goesOut(_ url: String, _ servers: String, _ setAway: (Bool) -> Void) throws {
    let cluster = try BridgeCluster(Self.output(url))
    let total = Load.messages
    try cluster.addNode()
    let second = try cluster.addNode()
    try cluster.publish(0..<total / 4, by: second)
    setAway(true)
    try cluster.publish(total / 4..<total / 2, by: second)
    setAway(false)
    try cluster.publish(total / 2..<total * 3 / 4, by: second)
    cluster.kill(0)
    try cluster.publish(total * 3 / 4..<total, by: second)
    let reader = try RecordReader(servers, topic: "rooms", partitions: Self.partitions)
    var ids = Set<String>()
    let records = reader.read(within: Load.seconds) { records in
      if let id = records.last?.headers["id"] { ids.insert(id) }
      return ids.count >= total
    }
    let (tally, repeated) = outcome(records.map { ($0.headers, $0.key, $0.value) }, total)
    #expect(tally == .perfect, "\(tally)")
    let written = try second.metric(#"roost_bridge_messages_total{bridge="k",direction="out",outcome="written"}"#)
    #expect(written > 0)
    print("Kafka out: \(total) messages, \(tally), \(repeated) repeated before they were recognised by their id")
  }
}

/// What became of the numbered messages of the rooms `out:0` …, and how many came twice.
func outcome(_ records: [(headers: [String: String], key: String, value: String)], _ total: Int) -> (Tally, Int) {
  var ids = Set<String>()
  var numbers = [[Int]](repeating: [], count: Load.keys)
  for (headers, key, value) in records {
    guard let id = headers["id"], let room = headers["room"], ids.insert(id).inserted else { continue }
    #expect(key == room && id == "\(room):\(headers["epoch"] ?? "-"):\(headers["offset"] ?? "-")")
    let found = Sequences.numbers(in: value)
    if let number = Int(room.dropFirst(4)), numbers.indices.contains(number) { numbers[number] += found }
  }
  var tally = Tally()
  for key in 0..<Load.keys { tally.add(numbers[key], of: Sequences.count(of: key, total: total)) }
  return (tally, records.count - ids.count)
}
