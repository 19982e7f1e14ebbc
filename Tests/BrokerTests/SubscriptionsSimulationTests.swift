import Randomness
import Testing

@testable import RedisBackend

/// One connection to a Redis that only knows who hears what: commands and confirmations keep their order, and each
/// takes its time.
private struct ModelConnection {
  typealias Command = Subscriptions<Int>.Command

  /// Sent and not yet executed, one channel at a time.
  private(set) var commands: [(verb: Command.Verb, channel: [UInt8])] = []
  /// Confirmations of SUBSCRIBE on their way back.
  private(set) var confirmations: [[UInt8]] = []
  private(set) var heard: Set<[UInt8]> = []

  mutating func send(_ command: Command) {
    for channel in command.channels { commands.append((command.verb, channel)) }
  }

  mutating func execute() {
    guard !commands.isEmpty else { return }
    let command = commands.removeFirst()
    if command.verb == .subscribe {
      heard.insert(command.channel)
      confirmations.append(command.channel)
    } else {
      heard.remove(command.channel)
    }
  }

  mutating func confirm() -> [UInt8]? { confirmations.isEmpty ? nil : confirmations.removeFirst() }

  /// Whether a channel is heard and stays so by all that was sent.
  func hearsForGood(_ channel: [UInt8]) -> Bool {
    heard.contains(channel) && !commands.contains { $0.channel == channel && $0.verb == .unsubscribe }
  }
}

@Suite("Subscriptions, simulated")
struct SubscriptionsSimulationTests {
  /// A node's wishes and a Redis that is slow and loses its connection, drawn from a seed.
  private struct Life {
    var random: SeededGenerator
    var channels = Subscriptions<Int>()
    var connection = ModelConnection()
    var wanted: Set<[UInt8]> = []
    /// Channels that were heard at some time since they were wanted.
    private var heardOnce: Set<[UInt8]> = []
    /// Waiters that were not answered yet, with their channel.
    var waiting: [Int: [UInt8]] = [:]
    var waiters = 0
    var faults: [String] = []

    init(seed: UInt64) { random = SeededGenerator(seed: seed) }

    mutating func step() {
      let channel = [UInt8.random(in: 0..<4, using: &random)]
      switch Int.random(in: 0..<100, using: &random) {
      case 0..<25: want(channel)
      case 25..<45:
        fail(channels.giveUp(channel))
        wanted.remove(channel)
        heardOnce.remove(channel)
      case 45..<65: send()
      case 65..<80: connection.execute()
      case 80..<97: confirm()
      default:
        connection = ModelConnection()
        // What was only being asked for is the waiter's to ask for again.
        wanted = wanted.filter { heardOnce.contains($0) || !waiting.values.contains($0) }
        fail(channels.connectionLost())
      }
    }

    private mutating func want(_ channel: [UInt8]) {
      wanted.insert(channel)
      waiters += 1
      if channels.want(channel, waiters) {
        check(channel, "said to be heard")
      } else {
        waiting[waiters] = channel
      }
    }

    mutating func send() { for command in channels.takeCommands(limit: 3) { connection.send(command) } }

    mutating func confirm() {
      guard let channel = connection.confirm() else { return }
      for waiter in channels.confirmed(channel) {
        if waiting.removeValue(forKey: waiter) != channel { faults.append("waiter \(waiter) answered wrongly") }
        check(channel, "confirmed")
      }
    }

    private mutating func fail(_ failed: [Int]) {
      for waiter in failed where waiting.removeValue(forKey: waiter) == nil {
        faults.append("waiter \(waiter) failed twice")
      }
    }

    private mutating func check(_ channel: [UInt8], _ what: String) {
      heardOnce.insert(channel)
      if !connection.hearsForGood(channel) { faults.append("\(what), and Redis does not hear \(channel)") }
    }

    /// Lets everything that was sent come to its end.
    mutating func rest() {
      for _ in 0..<200 {
        send()
        connection.execute()
        confirm()
      }
    }
  }

  @Test("answers every waiter once, never too soon, and ends with what is wanted (5,000 seeds)")
  func manySeeds() {
    for seed in seeds(5000) {
      var life = Life(seed: seed)
      for _ in 0..<120 { life.step() }
      life.rest()
      #expect(life.faults.isEmpty, "seed \(seed)")
      #expect(life.waiting.isEmpty, "seed \(seed): waiters without an answer")
      #expect(life.connection.heard == life.wanted, "seed \(seed)")
      #expect(life.channels.count == life.wanted.count, "seed \(seed): channels that nobody wants are kept")
    }
  }
}
