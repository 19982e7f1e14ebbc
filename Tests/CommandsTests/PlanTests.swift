import ClientCore
import JSONCore
import Settings
import Testing

@testable import Commands

/// `roost plan`: a pure function, and the command around it.
@Suite struct PlanTests {
  @Test(
    "reads counts by thousands",
    arguments: [
      ("250", 250.0), ("1.5k", 1500), ("1m", 1_000_000), ("2g", 2_000_000_000), ("0", 0), ("", nil), ("k", nil),
      ("-1", nil), ("1e9", nil), ("1kk", nil), ("nan", nil), ("1.2.3", nil), ("1001g", nil),
    ])
  func counts(text: String, value: Double?) {
    #expect(PlanCommand.number(text) == value)
    #expect(PlanCommand.rate(text + "/s") == value)
  }

  @Test(
    "names what runs out first",
    arguments: [
      (Workload(publishes: 100), "connections of a machine", 2, 1),
      (Workload(rooms: 10, members: 5000, publishes: 500, networkBits: 1e10), "node CPU", 0, 1),
      (
        Workload(members: 1, publishes: 200, memoryBytes: 1_342_177_280, connectionsPerMachine: 1e6), "node memory", 2,
        1
      ),
      (Workload(connections: 1000, rooms: 10, members: 100, publishes: 2000, messageBytes: 8000), "network", 0, 1),
      (
        Workload(
          rooms: 100_000, members: 1, publishes: 30_000, connectionsPerMachine: 1e6, redisMemoryBytes: 68_719_476_736),
        "Redis CPU", 2, 1
      ),
      (Workload(rooms: 20_000, publishes: 4000, messageBytes: 4000), "Redis memory", 0, 0),
    ] as [(Workload, String, Int, Int)])
  func bottleneck(workload: Workload, name: String, machines: Int, masters: Int) throws {
    let plan = try #require(CapacityPlan(workload))
    #expect(plan.uses[0].name == name, "\(plan.uses)")
    #expect(plan.uses.allSatisfy { $0.share <= 1 })
    if machines > 0 { #expect(plan.machines == machines) }
    if masters > 0 { #expect(plan.masters == masters) }
  }

  @Test("one machine fewer would not do, and spares come on top")
  func fewest() throws {
    let load = Workload(connections: 1_000_000, rooms: 200_000, publishes: 5000)
    let plan = try #require(CapacityPlan(load))
    #expect(plan.machines == 11 && plan.deliveriesPerSecond == 100_000)
    var tight = load
    tight.spares = 0
    #expect(CapacityPlan(tight)?.machines == 10)
    tight.spares = 3
    #expect(CapacityPlan(tight)?.machines == 13)
  }

  @Test("counts nodes without connections, and what clients and handshake-rate make of a lost machine")
  func floors() throws {
    let costs = UnitCosts()
    let small = try #require(CapacityPlan(Workload(connections: 5, rooms: 1, members: 5, publishes: 1)))
    // Two machines with four workers each.
    #expect(small.machines == 2 && small.nodeBytes >= 8 * costs.workerBytes)
    #expect(small.reconnectSeconds >= costs.clientWaitSeconds)
    let large = try #require(CapacityPlan(Workload(connections: 1_500_000, rooms: 1000, members: 1, publishes: 100)))
    let lost = 1_500_000 / Double(large.machines - 1)
    let gate = lost / (Double(large.machines - 1) * 4 * costs.handshakesPerSecond)
    #expect(large.reconnectSeconds >= costs.clientWaitSeconds + gate)
    // The first wait and the rate are those of roost.js and of the settings.
    #expect(ServerSettings().handshakesPerSecondMax == nil && costs.handshakesPerSecond == 2000)
  }

  @Test("more of anything never needs less")
  func monotonic() throws {
    let paths: [WritableKeyPath<Workload, Double>] = [
      \.connections, \.rooms, \.members, \.publishes, \.messageBytes, \.historySize, \.historySeconds,
    ]
    for path in paths {
      var load = Workload()
      let before = try #require(CapacityPlan(load))
      load[keyPath: path] *= 8
      let after = try #require(CapacityPlan(load))
      #expect(after.machines >= before.machines && after.masters >= before.masters, "\(path)")
      #expect(after.nodeCores >= before.nodeCores && after.redisBytes >= before.redisBytes, "\(path)")
    }
  }

  @Test("the unit costs give back the rates that were measured")
  func measured() throws {
    // docs/benchmarks.md: 1,000 rooms of 5, one node, 108k deliveries for each second of processor time.
    let costs = UnitCosts()
    let local = 5 * costs.deliveryMicroseconds + costs.publishMicroseconds
    #expect((80_000.0...120_000.0).contains(5e6 / local))
    // Across two nodes with their Redis: 63k.
    let across = local + costs.receiptMicroseconds + costs.redisPublishMicroseconds + 2 * costs.redisCopyMicroseconds
    #expect((56_000.0...70_000.0).contains(5e6 / across))
  }

  @Test("prints a table of at most 80 columns, or JSON, and refuses what no cluster carries")
  func command() throws {
    let options = ["plan", "--connections", "1m", "--rooms", "200k", "--publishes", "5k/s", "--members", "20"]
    let text = try Program.run(options)
    #expect(text.status == ExitStatus.success && text.output.contains("First bottleneck: "), "\(text)")
    for line in text.output.split(separator: "\n") { #expect(line.count <= 80, "\(line)") }
    let json = try Program.run(options + ["--json"])
    let plan = try JSONValue.parse(Array(json.output.utf8).span)
    #expect(plan["machines"]?.asInt == 11)
    #expect(plan["bottleneck"]?.asString == "connections of a machine")
    for (arguments, reason) in [
      (["plan", "--publishes", "lots"], "is no rate"), (["plan", "--connections", "0"], "at least 1"),
      (["plan", "--connections", "5", "--members", "6"], "more than --connections"),
      (["plan", "--connections", "900g"], "more than 10000 machines"),
    ] {
      let refused = try Program.run(arguments)
      #expect(refused.status == ExitStatus.usage && refused.errors.contains(reason), "\(refused)")
    }
  }
}
