import Testing

@testable import RedisBackend

/// What a node does about a master that was replaced, or has lost data: the decisions alone.
@Suite("Decisions after a failover")
struct FailoverTests {
  typealias Actions = Failover.Actions

  private static let first = Failover.Identity(run: bytes("run-00001"), replicationID: bytes("repl-0001"))
  private static let other = Failover.Identity(run: bytes("run-00002"), replicationID: bytes("repl-0002"))
  private static let unknown = Failover.Identity()
  private static let presence: Actions = [.reassertPresence, .reconcilePresence]
  private static let freeze: Actions = [.freezePublishes, .compareRooms]

  struct Reconnect: CustomTestStringConvertible {
    let mode: Failover.Mode
    let identities: [Failover.Identity]
    /// What follows from the last of the connections.
    let actions: Actions
    var testDescription: String { "\(mode), \(identities.map { $0.run.map { String(decoding: $0, as: UTF8.self) } })" }

    init(_ mode: Failover.Mode, _ identities: [Failover.Identity], _ actions: Actions) {
      (self.mode, self.identities, self.actions) = (mode, identities, actions)
    }
  }

  private static let reconnects = [
    // The first connection finds nothing to compare with.
    Reconnect(.single, [first], []),
    Reconnect(.sentinels, [first], .forgetEpochs),
    Reconnect(.cluster, [first], []),
    // The same process.
    Reconnect(.single, [first, first], []),
    Reconnect(.sentinels, [first, first], .forgetEpochs),
    Reconnect(.cluster, [first, first], []),
    // Another one: behind sentinels it has a leader epoch of its own, so that nothing freezes.
    Reconnect(.single, [first, other], presence.union(freeze)),
    Reconnect(.sentinels, [first, other], presence.union(.forgetEpochs)),
    Reconnect(.cluster, [first, other], presence.union(freeze).union(.scanOrphans)),
    // One that does not return its process may be another.
    Reconnect(.single, [unknown, unknown], presence.union(freeze)),
    Reconnect(.sentinels, [first, unknown], presence.union(freeze).union(.forgetEpochs)),
    Reconnect(
      .sentinels, [first, Failover.Identity(run: bytes("run-00002"))], presence.union(freeze).union(.forgetEpochs)),
    Reconnect(.cluster, [unknown, first], presence.union(freeze).union(.scanOrphans)),
    // The next connection to the other one finds the same.
    Reconnect(.single, [first, other, other], []),
    Reconnect(.cluster, [first, other, other], []),
  ]

  @Test("after a reconnect", arguments: reconnects)
  func reconnect(_ reconnect: Reconnect) {
    var failover = Failover(reconnect.mode)
    var actions: Actions = []
    for identity in reconnect.identities {
      failover.disconnected()
      actions = failover.connected(identity)
    }
    #expect(actions == reconnect.actions)
    #expect(failover.isPublishFrozen == actions.contains(.freezePublishes))
    #expect(actions.contains(.freezePublishes) == actions.contains(.compareRooms))
    if actions.contains(.reconcilePresence) { #expect(failover.isReconciliationDue) }
  }

  @Test("a master of a later map has taken over, once, and freezes only as another process")
  func takeover() {
    var failover = Failover(.cluster, hasTakenOver: true)
    let result1 = failover.connected(FailoverTests.first)
    #expect(result1 == FailoverTests.presence.union(.scanOrphans))
    #expect(!failover.isPublishFrozen)
    let result2 = failover.connected(FailoverTests.first)
    #expect(result2 == [])
  }

  @Test("a master that replaced another freezes at once, or with its next connection", arguments: [false, true])
  func mapChanged(isServing: Bool) {
    var failover = Failover(.cluster)
    if isServing { _ = failover.connected(FailoverTests.first) }
    let result3 = failover.mapChanged(isServing: isServing)
    #expect(result3 == (isServing ? FailoverTests.freeze : []))
    if !isServing {
      let later = failover.connected(FailoverTests.first)
      #expect(later == FailoverTests.freeze)
    }
    #expect(failover.isPublishFrozen)
    failover.freezeEnded()
    #expect(!failover.isPublishFrozen)
    let result5 = failover.connected(FailoverTests.first)
    #expect(result5 == [])
  }

  @Test("a freeze ends with its connection, and its rooms are compared when it is back")
  func disconnected() {
    var failover = Failover(.cluster)
    let result6 = failover.takeComparison()
    #expect(result6)
    let result7 = failover.takeComparison()
    #expect(!result7)
    _ = failover.connected(FailoverTests.first)
    _ = failover.mapChanged(isServing: true)
    failover.disconnected()
    let isDue = failover.takeComparison()
    #expect(!failover.isPublishFrozen && isDue)
    failover.subscriptionsLost()
    let result8 = failover.takeComparison()
    #expect(result8)
  }

  @Test("a missing canary key means that data was lost, and is reconciled once")
  func canary() {
    var failover = Failover(.cluster)
    let result9 = failover.canaryMissing()
    #expect(result9 == FailoverTests.presence.union(.scanOrphans))
    let result10 = failover.takeReconciliation()
    #expect(result10)
    let result11 = failover.takeReconciliation()
    #expect(!result11)
  }

  @Test("messages are tagged with the process in a cluster only")
  func tags() {
    for (mode, tag) in [(Failover.Mode.single, ""), (.sentinels, ""), (.cluster, "run-0000")] {
      var failover = Failover(mode)
      _ = failover.connected(FailoverTests.first)
      #expect(failover.masterTag == bytes(tag))
      _ = failover.connected(FailoverTests.unknown)
      #expect(failover.masterTag.isEmpty)
    }
  }

  @Test("how the lease stood, and a pause of the process")
  func node() {
    #expect(Failover.renewed(.held) == [])
    #expect(Failover.renewed(.swept) == .reassertPresence)
    #expect(Failover.renewed(.forgotten) == [.reassertPresence, .scanOrphans])
    #expect(Failover.processWasPaused == .reconnect)
  }
}
