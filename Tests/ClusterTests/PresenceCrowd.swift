import Glibc
import JSONCore
import Randomness
import TestSupport

/// Many real clients on several nodes, and the truth about them: who is connected and has joined which room.
final class PresenceCrowd {
  let redis: RedisProcess?
  private(set) var nodes: [RoostProcess]
  let clients: [PresenceClient]
  private let flags: [String]
  private var random: SeededGenerator
  private var said = 0
  private var lastArrival = Deadline.now()

  /// The room that all are in.
  static let everywhere = "all"
  /// Smaller rooms.
  static let corners = 6
  /// For how long nothing arrives in a room that is at rest, in nanoseconds.
  private static let quiet: UInt64 = 1_000_000_000

  /// Connects so many clients to the nodes in turn. Every tenth is a second connection of the user before it, on another
  /// node.
  init(_ count: Int, nodes nodeCount: Int, hasRedis: Bool = true, _ flags: [String], seed: UInt64) throws {
    self.flags = flags
    random = SeededGenerator(seed: seed)
    redis = hasRedis ? try RedisProcess() : nil
    if let redis {
      nodes = try Cluster.nodes(nodeCount, on: redis.url, flags)
    } else {
      nodes = [try RoostProcess(flags)]
    }
    clients = (0..<count).map { PresenceClient("u\($0 % 10 == 9 && hasRedis ? $0 - 1 : $0)", pageLimit: 120) }
    for (number, client) in clients.enumerated() { try client.connect(to: nodes[number % nodes.count]) }
  }

  // MARK: What happens

  /// All join at the same moment.
  func joinAll() throws {
    for (number, client) in clients.enumerated() {
      client.want(PresenceCrowd.everywhere)
      client.want("corner\(number % PresenceCrowd.corners)")
    }
    try pump()
  }

  /// Clients come, go and say something, a few at a time.
  ///
  /// - Parameter connections: whether some close their connection as well, and open another one.
  func churn(_ rounds: Int, connections: Bool = true) throws {
    for _ in 0..<rounds {
      for _ in 0..<max(2, clients.count / 20) {
        let number = Int.random(in: 0..<clients.count, using: &random)
        let client = clients[number]
        let room = Bool.random(using: &random) ? PresenceCrowd.everywhere : "corner\(number % PresenceCrowd.corners)"
        switch Int.random(in: 0..<10, using: &random) {
        case 0..<2: saySomething(number, in: room)
        case 2 where connections:
          if client.isConnected { client.close() } else { try connect(number) }
        case 3..<6: client.leave(room)
        default: client.want(room)
        }
      }
      try pump()
    }
  }

  /// All are where they want to be again.
  func gather() throws {
    for (number, client) in clients.enumerated() where !client.isConnected { try connect(number) }
    try joinAll()
  }

  /// Only users with one connection: of two, nobody knows which said it last.
  private func maySpeak(_ number: Int) -> Bool { number % 10 < 8 }

  private func saySomething(_ number: Int, in room: String) {
    guard maySpeak(number) else { return }
    said += 1
    clients[number].say("s\(said)", in: room)
  }

  private func connect(_ number: Int) throws {
    guard let node = nodes.randomElement(using: &random) else { return }
    said += 1
    try clients[number].connect(to: node, greeting: maySpeak(number) ? "s\(said)" : nil)
  }

  /// Kills the first node. Half of its clients are back on others at once, the rest stays away.
  func killNode() throws {
    let node = nodes.removeFirst()
    node.process.kill()
    try awaitEnd(of: node)
  }

  /// Stops the first node. Half of its clients are back on others at once.
  func drainNode() throws {
    let node = nodes.removeFirst()
    node.process.signal(SIGTERM)
    try awaitEnd(of: node)
    _ = try node.process.waitForEnd()
  }

  func addNode(_ name: String) throws {
    guard let redis else { return }
    let node = try Cluster.node(name, on: redis, flags)
    try node.awaitReady()
    nodes.append(node)
  }

  /// Waits until the connections of a node that ends are closed, and opens every other one again.
  private func awaitEnd(of node: RoostProcess) throws {
    let numbers = clients.indices.filter { clients[$0].node === node }
    try eventually("the node's connections are closed", within: 15) {
      try pump()
      return numbers.allSatisfy { !clients[$0].isConnected }
    }
    for number in numbers where number % 2 == 0 { try connect(number) }
  }

  // MARK: The law

  /// Receives and sends for all clients once.
  func pump() throws {
    for client in clients where try client.pump() { lastArrival = Deadline.now() }
  }

  /// Who is in a room, with what each says.
  func truth(_ room: String) -> [String: String] {
    var users: [String: String] = [:]
    for client in clients where client.rooms.contains(room) {
      users[client.user, default: ""] += client.views[room]?.said ?? ""
    }
    return users
  }

  /// Waits until all operations are answered, and all views are equal to the truth and remain so for a second without
  /// traffic.
  ///
  /// - Parameter seconds: what this may take on a slow machine; violations are listed after it.
  func expectLaw(_ when: String, within seconds: Double) throws {
    let start = Deadline.now()
    let deadline = Deadline(within: seconds)
    var wrong: [String] = ["never quiet"]
    while true {
      try pump()
      if Deadline.now() - lastArrival >= PresenceCrowd.quiet {
        wrong = violations()
        if wrong.isEmpty { break }
      }
      guard deadline.millisecondsLeft > 0 else {
        if wrong == ["never quiet"] { wrong += violations() }
        throw TestFailure("\(when): \(wrong.count) violations: \(wrong.prefix(5).joined(separator: "\n"))")
      }
      usleep(10_000)
    }
    print("  \(when): \((Deadline.now() - start) / 1_000_000) ms")
  }

  /// What clients believe that is not so.
  private func violations() -> [String] {
    var found: [String] = []
    var truths: [String: [String: String]] = [:]
    for (number, client) in clients.enumerated() where client.isConnected {
      if !client.isSettled { found.append("client \(number) has unanswered operations") }
      found += (client.complaints + client.views.values.flatMap(\.complaints)).map { "client \(number): \($0)" }
      for room in client.rooms {
        let truth = truths[room] ?? truth(room)
        truths[room] = truth
        guard let view = client.views[room], let users = view.users else { continue }
        if view.count != truth.count { found.append("\(number) in \(room) counts \(view.count), not \(truth.count)") }
        guard users != truth else { continue }
        let missing = truth.keys.filter { users[$0] == nil }.sorted()
        let extra = users.keys.filter { truth[$0] == nil }.sorted()
        let states = truth.keys.filter { users[$0] != nil && users[$0] != truth[$0] }.sorted()
          .map { "\($0): \(users[$0] ?? "") not \(truth[$0] ?? "")" }
        found.append("\(number) in \(room) lacks \(missing), has \(extra), states \(states)")
      }
    }
    return found
  }

  /// Waits until every node knows from Redis who is in every room.
  func awaitRedis(within seconds: Double) throws {
    let rooms = [PresenceCrowd.everywhere] + (0..<PresenceCrowd.corners).map { "corner\($0)" }
    for room in rooms {
      try eventually("Redis knows who is in \(room)", within: seconds) {
        try pump()
        let answer = try nodes[0].admin("GET", "presence/\(room)?limit=1")
        return try answer.status == 200 && answer.json()["users"]?.asInt == truth(room).count
      }
    }
  }
}
