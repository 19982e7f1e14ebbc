import JSONCore

/// A plan as a table for people and as JSON for programs.
enum PlanReport {
  static func text(_ plan: CapacityPlan) -> String {
    let load = plan.workload
    let perMachine = Double(plan.machines)
    var table = TextTable([.text("WHAT"), .number("CLUSTER"), .number("EACH")])
    table.append(["machines with nodes (\(Int(load.spares)) may be missing)", "\(plan.machines)", ""])
    table.append(["Redis masters", "\(plan.masters)", ""])
    table.append(["connections", short(load.connections), short(load.connections / perMachine)])
    table.append(["deliveries a second", short(plan.deliveriesPerSecond), short(plan.deliveriesPerSecond / perMachine)])
    table.append(["node cores in use", fixed(plan.nodeCores), fixed(plan.nodeCores / perMachine)])
    table.append(["node memory, kernel included", bytes(plan.nodeBytes), bytes(plan.nodeBytes / perMachine)])
    table.append(["network to clients, bit/s", short(plan.clientBits), short(plan.clientBits / perMachine)])
    table.append(["network from Redis, bit/s", short(plan.redisBits), short(plan.redisBits / perMachine)])
    table.append(["Redis cores in use", fixed(plan.redisCores), fixed(plan.redisCores / Double(plan.masters))])
    table.append(["Redis memory", bytes(plan.redisBytes), bytes(plan.redisBytes / Double(plan.masters))])
    var shares = TextTable([.text("RESOURCE"), .number("SHARE")])
    for use in plan.uses { shares.append([use.name, percent(use.share)]) }
    return table.text + """

      First bottleneck: \(plan.uses[0].name).
      Shares of what a plan allows, which is 60 % of each, with the spares missing:

      \(shares.text)
      Each message goes to \(fixed(plan.receivers)) workers.
      Clients of a lost machine are back within some \(fixed(plan.reconnectSeconds)) s.

      Assumes messages and members spread evenly, one worker for each core, WebSockets
      without TLS or compression in the node, default settings, and the unit costs in
      docs/capacity.md. Measure your own load with roost bench before you buy.

      """
  }

  static func json(_ plan: CapacityPlan) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("machines")
    writer.integer(plan.machines)
    writer.key("redisMasters")
    writer.integer(plan.masters)
    writer.key("bottleneck")
    writer.string(plan.uses[0].name)
    let figures: [(StaticString, Double)] = [
      ("deliveriesPerSecond", plan.deliveriesPerSecond), ("nodeCores", plan.nodeCores), ("nodeBytes", plan.nodeBytes),
      ("clientBitsPerSecond", plan.clientBits), ("redisBitsPerSecond", plan.redisBits),
      ("redisCores", plan.redisCores), ("redisBytes", plan.redisBytes), ("receiversPerMessage", plan.receivers),
      ("reconnectSeconds", plan.reconnectSeconds),
    ]
    for (name, value) in figures {
      writer.key(name)
      writer.double(value)
    }
    writer.key("shares")
    writer.beginObject()
    for use in plan.uses {
      writer.key(bytes: Array(use.name.utf8).span)
      writer.double(use.share)
    }
    writer.endObject()
    writer.endObject()
    return writer.finish()
  }

  /// A count with three digits or so: 940, 1.2k, 25k, 1.1M.
  static func short(_ value: Double) -> String {
    for (unit, name) in [(1e9, "G"), (1e6, "M"), (1e3, "k")] where value >= unit {
      return (value / unit < 10 ? fixed(value / unit) : "\(Int((value / unit).rounded()))") + name
    }
    return "\(Int(value.rounded()))"
  }

  static func bytes(_ value: Double) -> String {
    let mebibytes = value / 1_048_576
    return mebibytes < 1024 ? "\(Int(mebibytes.rounded(.up))) MiB" : "\(fixed(mebibytes / 1024)) GiB"
  }

  /// With one digit behind the point.
  static func fixed(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }

  private static func percent(_ share: Double) -> String { "\(Int((share * 100).rounded())) %" }
}
