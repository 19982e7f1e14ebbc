import Glibc
import TestSupport
import Testing

/// Bridges to a real RabbitMQ, which is killed and restarted.
@Suite("Bridges to RabbitMQ", .serialized)
struct RabbitTests {
  @Test("both ways once and in order, also when RabbitMQ and a node are killed; bad messages are dead letters")
  func bothWays() throws {
    let rabbit = try RabbitProcess()
    try comesIn(rabbit)
    try goesOut(rabbit)
  }

  private func comesIn(_ rabbit: RabbitProcess) throws {
    let url = rabbit.url
    let bridge =
      #"{"name":"r","kind":"amqp","url":"\#(url)","in":[{"queue":"orders","room":"in:{value.key}"}]}"#
    let cluster = try BridgeCluster(bridge)
    let total = Load.messages
    try publish(rabbit, 0..<total / 2)
    try cluster.addNode()
    try cluster.addNode()
    try eventually("messages come", within: 30) { try count(cluster) > 0 }
    rabbit.kill()
    try rabbit.restart()
    try publish(rabbit, total / 2..<total)
    let before = try count(cluster)
    try eventually("more messages come", within: 60) { try count(cluster) > before || count(cluster) >= total }
    cluster.kill(0)
    try eventually("all messages are in rooms", within: Load.seconds) { try count(cluster) >= total }
    var tally = Tally()
    for key in 0..<Load.keys {
      tally.add(try cluster.sequence(of: "in:\(key)"), of: Sequences.count(of: key, total: total))
    }
    #expect(tally == .perfect, "\(tally)")
    let letters = try RabbitClient(rabbit).read(queue: "orders.dead-letter", within: 20) { $0.count >= 2 }
    #expect(letters.count >= 2 && letters.allSatisfy { $0.body == "nonsense" && $0.headers["roost-reason"] != nil })
    // The node that lives consumes it exclusively: nobody else may.
    let other = try RabbitClient(rabbit)
    #expect(throws: (any Error).self) { try other.read(queue: "orders", within: 1) { _ in false } }
    print("RabbitMQ in: \(total) messages, \(tally)")
  }

  private func publish(_ rabbit: RabbitProcess, _ numbers: Range<Int>) throws {
    let client = try RabbitClient(rabbit)
    try client.declare(queue: "orders")
    try client.confirmPublishes()
    for number in numbers {
      try client.publish(
        queue: "orders", id: "m\(number)", #"{"key":"\#(number % Load.keys)","seq":\#(number / Load.keys)}"#)
    }
    try client.publish(queue: "orders", id: "bad\(numbers.lowerBound)", "nonsense")
    try client.awaitConfirms(UInt64(numbers.count + 1))
  }

  private func count(_ cluster: BridgeCluster) throws -> Int {
    try (0..<Load.keys).reduce(0) { try $0 + cluster.count(of: "in:\($1)") }
  }

  private func goesOut(_ rabbit: RabbitProcess) throws {
    let bridge = #"{"name":"r","kind":"amqp","url":"\#(rabbit.url)","out":[{"match":"out:*","exchange":"rooms"}]}"#
    try RabbitClient(rabbit).declare(exchange: "rooms", into: "copies")
    let cluster = try BridgeCluster(bridge)
    let total = Load.messages
    try cluster.addNode()
    let second = try cluster.addNode()
    try cluster.publish(0..<total / 4, by: second)
    rabbit.kill()
    try cluster.publish(total / 4..<total / 2, by: second)
    try rabbit.restart()
    try cluster.publish(total / 2..<total * 3 / 4, by: second)
    cluster.kill(0)
    try cluster.publish(total * 3 / 4..<total, by: second)
    var ids = Set<String>()
    let messages = try RabbitClient(rabbit).read(queue: "copies", within: Load.seconds) { messages in
      if let id = messages.last?.headers["id"] { ids.insert(id) }
      return ids.count >= total
    }
    let (tally, repeated) = outcome(messages.map { ($0.headers, $0.key, $0.body) }, total)
    #expect(tally == .perfect, "\(tally)")
    #expect(messages.allSatisfy { $0.id == $0.headers["id"] })
    print("RabbitMQ out: \(total) messages, \(tally), \(repeated) repeated before they were recognised by their id")
  }
}
