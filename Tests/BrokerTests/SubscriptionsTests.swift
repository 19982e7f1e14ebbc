import Testing

@testable import RedisBackend

/// The table of `Subscriptions`: what happens, and what must be sent and answered then.
@Suite struct SubscriptionsTests {
  private typealias Channels = Subscriptions<Int>
  private let a = bytes("a")

  private func sent(_ channels: inout Channels) -> [String] {
    channels.takeCommands(limit: 512).map { command in
      let names = command.channels.map { String(decoding: $0, as: UTF8.self) }
      return (command.verb == .subscribe ? "+" : "-") + names.sorted().joined()
    }
  }

  @Test("answers a waiter upon confirmation, and the next at once")
  func confirmation() {
    var channels = Channels()
    #expect(channels.want(a, 1) == false)
    #expect(sent(&channels) == ["+a"])
    #expect(channels.want(a, 2) == false)
    #expect(sent(&channels) == [])
    #expect(channels.confirmed(a) == [1, 2])
    #expect(channels.want(a, 3) == true)
  }

  @Test("waits for the last confirmation when a channel was given up and wanted again")
  func resubscription() {
    var channels = Channels()
    _ = channels.want(a, 1)
    _ = sent(&channels)
    #expect(channels.giveUp(a) == [1])
    #expect(sent(&channels) == ["-a"])
    #expect(channels.want(a, 2) == false)
    #expect(sent(&channels) == ["+a"])
    #expect(channels.confirmed(a) == [])
    #expect(channels.confirmed(a) == [2])
  }

  @Test("sends nothing for a channel wanted and given up, or given up and wanted, within a tick")
  func collapse() {
    var channels = Channels()
    _ = channels.want(a, 1)
    #expect(channels.giveUp(a) == [1])
    #expect(sent(&channels) == [])
    #expect(channels.count == 0)
    _ = channels.want(a, 2)
    _ = sent(&channels)
    #expect(channels.confirmed(a) == [2])
    #expect(channels.giveUp(a) == [])
    #expect(channels.want(a, 3) == true)
    #expect(sent(&channels) == [])
  }

  @Test("forgets a channel that was given up")
  func forgetting() {
    var channels = Channels()
    _ = channels.want(a, 1)
    _ = sent(&channels)
    _ = channels.confirmed(a)
    _ = channels.giveUp(a)
    #expect(sent(&channels) == ["-a"])
    #expect(channels.count == 0)
    #expect(channels.confirmed(bytes("unknown")) == [])
    #expect(channels.giveUp(bytes("unknown")) == [])
  }

  @Test("renews after a lost connection what was heard, and drops what was only asked for")
  func lostConnection() {
    var channels = Channels()
    _ = channels.want(a, 1)
    _ = channels.want(bytes("user"), nil)
    _ = sent(&channels)
    _ = channels.confirmed(a)
    _ = channels.want(bytes("b"), 2)
    _ = sent(&channels)
    #expect(channels.connectionLost() == [2])
    #expect(sent(&channels) == ["+auser"])
    #expect(channels.confirmed(bytes("b")) == [])
    #expect(channels.want(a, 3) == false)
    #expect(channels.confirmed(a) == [3])
  }

  @Test("drops what was refused when none of it was ever heard, and nothing otherwise")
  func refusal() {
    var channels = Channels()
    #expect(channels.refused() == nil)
    _ = channels.want(a, 1)
    _ = sent(&channels)
    #expect(channels.refused() == [1])
    #expect(channels.count == 0)
    _ = channels.want(a, 2)
    _ = sent(&channels)
    _ = channels.confirmed(a)
    #expect(channels.connectionLost() == [])
    _ = channels.want(bytes("b"), 3)
    _ = sent(&channels)
    #expect(channels.refused() == nil)
    #expect(channels.count == 2)
  }

  @Test("asks for at most a command's worth of channels at a time")
  func batches() {
    var channels = Channels()
    for i in 0..<1025 { _ = channels.want(bytes("c\(i)"), nil) }
    #expect(channels.takeCommands(limit: 512).map(\.channels.count) == [512, 512, 1])
    #expect(!channels.hasCommands)
  }
}
