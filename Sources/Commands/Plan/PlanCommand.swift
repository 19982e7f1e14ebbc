import ClientCore
import JSONCore
import Settings

/// `roost plan`: how many machines a load needs, from unit costs that were measured. Talks to no server.
enum PlanCommand {
  struct Request: Sendable {
    var connections = "100k"
    var rooms = "20k"
    var members = "20"
    var publishes = "1k/s"
    var messageBytes = 128
    var sessionMilliseconds = 1_800_000
    var historySize = 100
    var historyMilliseconds = 300_000
    var cores = 4
    var memory = 8 * 1_073_741_824
    var network = "1g"
    var connectionsPerMachine = "100k"
    var redisMemory = 4 * 1_073_741_824
    var spares = 1
    var isJSON = false
  }

  static let table = OptionTable<Request>(
    command: "roost plan", usage: "[OPTIONS]", summary: ClientCommand.plan.summary,
    options: [
      count("connections", \.connections, 1, "connections of all clients together"),
      count("rooms", \.rooms, 0, "rooms that have members at one time"),
      count("members", \.members, 1, "connections in a room, on average"),
      .text("publishes", \.publishes, "RATE", "messages a second of all rooms together, such as 5k/s") {
        rateProblem($0)
      }
      .from(.argumentsOnly),
      .size("size", \.messageBytes, 0...16_777_216, "bytes of a message").from(.argumentsOnly),
      .duration("session", \.sessionMilliseconds, 1000...86_400_000, "how long a connection lasts, on average")
        .from(.argumentsOnly),
      .integer("historySize", \.historySize, 0...100_000, "messages that a room keeps").from(.argumentsOnly),
      .duration("historyTtl", \.historyMilliseconds, 1000...604_800_000, "how long a room keeps them")
        .from(.argumentsOnly),
      .integer("cores", \.cores, 1...1024, "cores of a machine with nodes").from(.argumentsOnly),
      .size("memory", \.memory, 268_435_456...17_592_186_044_416, "memory of a machine with nodes").from(
        .argumentsOnly),
      count("network", \.network, 1_000_000, "bits a second of a machine's network"),
      count("connectionsPerMachine", \.connectionsPerMachine, 1, "the most connections of a machine (docs/tuning.md)"),
      .size("redisMemory", \.redisMemory, 67_108_864...17_592_186_044_416, "memory of a Redis master")
        .from(.argumentsOnly),
      .integer("spares", \.spares, 0...1000, "machines that may be missing").from(.argumentsOnly),
      .flag("json", \.isJSON, "print one JSON object").from(.argumentsOnly),
    ])

  static func run(_ arguments: [String], version: String) throws {
    switch try table.parse(arguments: arguments, environment: [:], defaults: Request()) {
    case .help(let text): Output.text(text)
    case .version: Output.text("roost \(version)\n")
    case .run(let request, _):
      let workload = workload(request)
      guard workload.rooms * workload.members == 0 || workload.connections >= workload.members else {
        throw CommandFailure(ExitStatus.usage, "--members is more than --connections: a room cannot have so many")
      }
      guard let plan = CapacityPlan(workload) else {
        throw CommandFailure(
          ExitStatus.usage,
          "more than \(CapacityPlan.machinesMax) machines would be needed: check --publishes and --members, or name larger machines"
        )
      }
      if request.isJSON { Output.json(PlanReport.json(plan)) } else { Output.text(PlanReport.text(plan)) }
    }
  }

  static func workload(_ request: Request) -> Workload {
    Workload(
      connections: number(request.connections) ?? 0, rooms: number(request.rooms) ?? 0,
      members: number(request.members) ?? 0, publishes: rate(request.publishes) ?? 0,
      messageBytes: Double(request.messageBytes), sessionSeconds: Double(request.sessionMilliseconds) / 1000,
      historySize: Double(request.historySize), historySeconds: Double(request.historyMilliseconds) / 1000,
      cores: Double(request.cores), memoryBytes: Double(request.memory), networkBits: number(request.network) ?? 0,
      connectionsPerMachine: number(request.connectionsPerMachine) ?? 0,
      redisMemoryBytes: Double(request.redisMemory), spares: Double(request.spares))
  }

  /// The greatest count: beyond it a double no longer counts by ones.
  private static let countMax = 1e12

  /// A count such as 250, 1.5k, 1m or 2g: thousands, not 1,024. Nil: it is none.
  static func number(_ text: String) -> Double? {
    var digits = text[...]
    var factor = 1.0
    switch digits.last {
    case "k": factor = 1e3
    case "m": factor = 1e6
    case "g": factor = 1e9
    default: break
    }
    if factor > 1 { digits.removeLast() }
    guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) || $0 == UInt8(ascii: ".") }),
      let value = Double(digits), value * factor <= countMax
    else { return nil }
    return value * factor
  }

  /// Such a count for each second, with or without `/s`.
  static func rate(_ text: String) -> Double? { number(text.hasSuffix("/s") ? String(text.dropLast(2)) : text) }

  private static func rateProblem(_ text: String) -> String? {
    rate(text) == nil ? "is no rate; expected one such as 500/s or 5k/s, at most 1000g/s" : nil
  }

  private static func count(
    _ key: String, _ path: WritableKeyPath<Request, String> & Sendable, _ least: Double, _ help: String
  ) -> Option<Request> {
    .text(key, path, "COUNT", help) { text in
      guard let value = number(text) else { return "is no count; expected one such as 500, 20k or 1m, at most 1000g" }
      return value < least ? "is out of range; expected at least \(Int(least))" : nil
    }.from(.argumentsOnly)
  }
}
