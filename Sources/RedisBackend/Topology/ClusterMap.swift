/// Which master of a Redis Cluster holds which slots, as one of its nodes sees it.
struct ClusterMap: Equatable {
  struct Range: Equatable {
    let slots: ClosedRange<Int>
    let master: RedisEndpoint
  }

  private(set) var ranges: [Range] = []
  /// The replicas, which know the map too.
  private(set) var replicas: [RedisEndpoint] = []

  var masters: [RedisEndpoint] {
    var masters: [RedisEndpoint] = []
    for range in ranges where !masters.contains(range.master) { masters.append(range.master) }
    return masters
  }

  /// Reads the answer to CLUSTER SLOTS. Nil for anything else, and for a node that knows no slots.
  ///
  /// - Parameter asked: who answered: a node that does not know its own address leaves it out.
  init?(_ reply: Reply, askedOf asked: RedisEndpoint) {
    guard reply.kind == .array, reply.count > 0 else { return nil }
    for i in 0..<reply.count {
      let range = reply[i]
      guard range.count > 2, let master = ClusterMap.endpoint(range[2], asked) else { return nil }
      let (first, last) = (range[0].integer, range[1].integer)
      guard first >= 0, first <= last, last < HashSlot.count else { return nil }
      ranges.append(Range(slots: first...last, master: master))
      for j in 3..<max(3, range.count) {
        if let replica = ClusterMap.endpoint(range[j], asked), !replicas.contains(replica) { replicas.append(replica) }
      }
    }
  }

  private static func endpoint(_ node: Reply, _ asked: RedisEndpoint) -> RedisEndpoint? {
    guard node.count > 1, let port = UInt16(exactly: node[1].integer), port > 0 else { return nil }
    return .tcp(host: host(node[0].text, asked), port: port)
  }

  /// An empty host, or a question mark, stands for the one that was asked.
  static func host(_ text: String, _ asked: RedisEndpoint) -> String {
    if !text.isEmpty, text != "?" { return text }
    guard case .tcp(let host, _) = asked else { return text }
    return host
  }
}

/// Where a node of a cluster sends a command that it does not carry out.
enum Redirect: Equatable {
  /// The slot belongs to another master from now on.
  case moved(slot: Int, RedisEndpoint)
  /// The slot is moving to another master, which has this key already: asked once, with ASKING.
  case ask(RedisEndpoint)
  /// The keys are on both sides of a migration, or the cluster is settling: to be tried again.
  case later

  /// Reads an error. Nil when it is none of these.
  init?(_ reply: Reply, askedOf asked: RedisEndpoint) {
    guard reply.isError else { return nil }
    let words = reply.text.split(separator: " ")
    switch words.first {
    case "TRYAGAIN", "CLUSTERDOWN": self = .later
    case "MOVED", "ASK":
      guard words.count == 3, let slot = Int(words[1]), (0..<HashSlot.count).contains(slot),
        let colon = words[2].lastIndex(of: ":"), let port = UInt16(words[2][words[2].index(after: colon)...])
      else { return nil }
      let endpoint = RedisEndpoint.tcp(host: ClusterMap.host(String(words[2][..<colon]), asked), port: port)
      self = words[0] == "ASK" ? .ask(endpoint) : .moved(slot: slot, endpoint)
    default: return nil
    }
  }
}
