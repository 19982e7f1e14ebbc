/// What is done to a cluster while clients use it.
enum Fault: Equatable, CustomStringConvertible {
  /// What the nodes keep their state in.
  enum Topology: String, CaseIterable {
    /// One Redis, with a proxy in between for each node.
    case single
    /// One Redis and nodes whose wall clocks may be set.
    case clocks
    /// A master and its replica, watched by three sentinels.
    case sentinel
    /// A Redis Cluster: three masters, each with a replica.
    case cluster

    /// Whether the nodes reach Redis through proxies.
    var isProxied: Bool { self == .single || self == .clocks }
    /// Whether a replica may take a master's place.
    var isReplicated: Bool { self == .sentinel || self == .cluster }
  }

  /// What of Redis' knowledge is lost, or may be.
  enum Loss: Equatable {
    case nothing
    /// What lives for minutes: the messages of rooms and the ids of what was published. Counters and members stay.
    case history
    case everything
  }

  /// kill -9, and a new process after a while: with the id of the old one, or with another.
  case killNode(Int, back: Int, sameID: Bool)
  /// SIGSTOP, and SIGCONT after a while.
  case stopNode(Int, milliseconds: Int)
  case stopRedis(milliseconds: Int)
  /// kill -9, and a new process after a while. What it knew is there again only if it keeps an append-only file.
  case killRedis(back: Int)
  /// CLIENT KILL TYPE pubsub.
  case killSubscriptions
  /// CLIENT KILL TYPE normal.
  case killCommands
  /// CLIENT PAUSE: Redis takes commands and answers none.
  case pauseClients(milliseconds: Int)
  case flushAll
  case flushScripts
  /// Everything between a node and Redis arrives later.
  case delay(node: Int, milliseconds: Int, for: Int)
  /// The connections of a node to Redis are reset, and new ones refused for a while.
  case cut(node: Int, for: Int)
  /// Nothing of one direction arrives between a node and Redis; the other direction works.
  case halve(node: Int, toRedis: Bool, for: Int)
  /// Connections break off in the middle of what Redis says.
  case cutWithin(node: Int, afterBytes: Int)
  /// Clients lose their connections without a word and come back with their positions.
  case cutClients(count: Int)
  /// The wall clock of Redis, or of a node, is set by so many seconds, and stays so.
  case setRedisClock(seconds: Int)
  case setNodeClock(Int, seconds: Int)
  /// A replica takes its master's place by order: once it has all that the master has, or as it is.
  case failOver(shard: Int, isSettled: Bool)
  /// kill -9 of a master for long enough that its replica takes its place, and back as the replica.
  case killMaster(shard: Int, back: Int)
  case stopMaster(shard: Int, milliseconds: Int)
  /// The slot of a room goes to another master, key by key, while the room is in use.
  case moveSlot(room: Int, by: Int)

  /// What stands in the chronicle and in a failure.
  var description: String {
    switch self {
    case .killNode(let node, let back, let sameID):
      "kill -9 node \(node), back after \(back) ms with \(sameID ? "the same" : "a new") id"
    case .stopNode(let node, let milliseconds): "SIGSTOP node \(node) for \(milliseconds) ms"
    case .stopRedis(let milliseconds): "SIGSTOP Redis for \(milliseconds) ms"
    case .killRedis(let back): "kill -9 Redis, back after \(back) ms"
    case .killSubscriptions: "CLIENT KILL TYPE pubsub"
    case .killCommands: "CLIENT KILL TYPE normal"
    case .pauseClients(let milliseconds): "CLIENT PAUSE \(milliseconds)"
    case .flushAll: "FLUSHALL"
    case .flushScripts: "SCRIPT FLUSH"
    case .delay(let node, let milliseconds, let time): "node \(node) to Redis \(milliseconds) ms late for \(time) ms"
    case .cut(let node, let time): "node \(node) cut from Redis for \(time) ms"
    case .halve(let node, let toRedis, let time):
      "nothing \(toRedis ? "to Redis from" : "from Redis to") node \(node) for \(time) ms"
    case .cutWithin(let node, let bytes): "node \(node) cut from Redis after \(bytes) bytes of replies"
    case .cutClients(let count): "\(count) clients cut"
    case .setRedisClock(let seconds): "the clock of Redis set by \(seconds) s"
    case .setNodeClock(let node, let seconds): "the clock of node \(node) set by \(seconds) s"
    case .failOver(let shard, let isSettled): "failover \(isSettled ? "in step" : "as it is") of master \(shard)"
    case .killMaster(let shard, let back): "kill -9 master \(shard), back after \(back) ms"
    case .stopMaster(let shard, let milliseconds): "SIGSTOP master \(shard) for \(milliseconds) ms"
    case .moveSlot(let room, let by): "the slot of room \(room) moves \(by) masters on"
    }
  }

  /// Milliseconds until it is over by itself; 0: at once.
  var milliseconds: Int {
    switch self {
    case .killNode(_, let back, _), .killRedis(let back): back
    case .stopNode(_, let time), .stopRedis(let time), .pauseClients(let time): time
    case .delay(_, _, let time), .cut(_, let time), .halve(_, _, let time): time
    case .cutWithin: 1000
    case .failOver: 4000
    case .killMaster(_, let time), .stopMaster(_, let time): time
    case .moveSlot: 300
    case .killSubscriptions, .killCommands, .flushAll, .flushScripts, .cutClients: 0
    case .setRedisClock, .setNodeClock: 0
    }
  }

  /// What it acts on: two faults on one thing do not overlap.
  var subject: String {
    switch self {
    case .killNode(let node, _, _), .stopNode(let node, _): "node \(node)"
    case .delay(let node, _, _), .cut(let node, _), .halve(let node, _, _), .cutWithin(let node, _): "link \(node)"
    case .stopRedis, .killRedis, .pauseClients: "Redis"
    case .failOver, .killMaster, .stopMaster, .moveSlot: "masters"
    case .killSubscriptions, .killCommands, .flushAll, .flushScripts, .cutClients, .setRedisClock, .setNodeClock:
      "nothing"
    }
  }

  /// How long what it acts on is left in peace afterwards, in milliseconds.
  func rest(_ topology: Topology) -> Int {
    switch self {
    // Sentinels order no second failover within twice their failover timeout.
    case .failOver, .killMaster, .stopMaster: topology == .sentinel ? 8000 : 3000
    default: 200
    }
  }

  /// Whether it has Redis take no writes while it lasts.
  var pausesWrites: Bool { if case .failOver(_, true) = self { true } else { false } }

  /// What is lost, or may be: replication is asynchronous, so a master that dies may take with it what it has acknowledged.
  func loss(durable: Bool) -> Loss {
    switch self {
    case .flushAll: .everything
    case .killRedis: durable ? .nothing : .everything
    case .failOver(_, let isSettled): isSettled ? .nothing : .everything
    case .killMaster, .stopMaster: .everything
    // Ids and messages live for five minutes.
    case .setRedisClock(let seconds): seconds >= 200 ? .history : .nothing
    default: .nothing
    }
  }
}
