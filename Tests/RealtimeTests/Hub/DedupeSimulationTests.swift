import Randomness
import Testing

@testable import Realtime

@Suite("Publishes with ids, simulated broker")
struct DedupeSimulationTests {
  /// Clients that repeat whatever was not acked, on whichever connection, while answers are lost and Redis goes away.
  private func simulate(seed: UInt64) throws {
    var random = SeededGenerator(seed: seed)
    let bench = HubBench(historySize: 1000)
    let clients = (0..<3).map { _ in bench.open("ann") }
    for client in clients { client.join() }
    var acked: [String: Int] = [:]
    var sent = 0
    func look() {
      for client in clients {
        for text in client.take() where text.type == "ack" {
          guard let id = text.string("id"), let offset = text.int("offset") else { continue }
          #expect(acked[id] == nil || acked[id] == offset, "seed \(seed): \(id) was acked with two offsets")
          acked[id] = offset
        }
      }
    }
    bench.broker.isQueuing = true
    for _ in 0..<200 {
      let client = clients[Int.random(in: 0..<clients.count, using: &random)]
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<40:
        if Bool.random(using: &random) || sent == 0 { sent += 1 }
        let number = Int.random(in: max(1, sent - 3)...sent, using: &random)
        client.post(#"{"type":"message","room":"r","id":"m\#(number)","n":\#(number)}"#)
      case 40..<75: bench.broker.answerNext()
      case 75..<80: bench.broker.losesNextAnswer = true
      case 80..<84: bench.broker.goAway()
      case 84..<90: if !bench.broker.isAvailable { bench.broker.comeBack() }
      default: bench.broker.hearNext()
      }
      look()
    }
    bench.broker.comeBack()
    for number in 1...max(1, sent) {
      clients[0].post(#"{"type":"message","room":"r","id":"m\#(number)","n":\#(number)}"#)
    }
    bench.exchangeAll(answersFirst: true) { look() }
    // As many messages as ids: none was lost, none was published twice.
    #expect(acked.count == max(1, sent), "seed \(seed)")
    #expect(Set(acked.values) == Set(1...max(1, sent)), "seed \(seed)")
    #expect(bench.broker.position(of: "r")?.offset == UInt64(max(1, sent)), "seed \(seed)")
  }

  @Test("publishes every id once and acks every repetition with the first offset (1,000 seeds)")
  func manySeeds() throws {
    for seed in seeds(1000) { try simulate(seed: seed) }
  }
}
