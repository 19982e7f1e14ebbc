@testable import RedisBackend

/// What the scripts of presence do, in memory and in virtual time: one room, leases, sweeps.
struct ModelRedis {
  struct Notice: Equatable {
    let user: String
    let hasJoined: Bool
  }

  /// Virtual milliseconds.
  var now = 0
  private(set) var leases: [String: Int] = [:]
  private(set) var swept: [String: Int] = [:]
  /// A connection is its node's id, a dash, and a name; its user stands beside it.
  private(set) var members: [String: String] = [:]
  private(set) var users: [String: Int] = [:]
  private(set) var notices: [Notice] = []

  /// renew.lua
  mutating func renew(_ node: String, isFirst: Bool) -> (standing: LeaseKeeper.Standing, expired: [String]) {
    var standing = LeaseKeeper.Standing.held
    if let mark = swept[node] {
      standing = .swept
      if mark <= now - RedisLimits.claimMilliseconds { swept[node] = nil }
    } else if leases[node] == nil {
      standing = .forgotten
    }
    if isFirst { standing = .held }
    leases[node] = now + RedisLimits.leaseMilliseconds
    return (standing, leases.filter { $0.value < now }.keys.sorted())
  }

  /// sweep_begin.lua
  mutating func beginSweep(_ node: String) -> Bool {
    guard let end = leases[node], end < now else { return false }
    if let claimed = swept[node], claimed > now - RedisLimits.claimMilliseconds { return false }
    swept[node] = now
    return true
  }

  /// sweep_room.lua, with a chunk of one. Returns whether there is more.
  mutating func sweepOne(_ node: String) -> Bool {
    guard let name = members.keys.filter({ $0.hasPrefix(node + "-") }).min() else { return false }
    leave(name)
    return true
  }

  /// sweep_end.lua
  mutating func endSweep(_ node: String, isOwn: Bool) {
    if isOwn {
      leases[node] = nil
      return
    }
    if let end = leases[node], end < now { leases[node] = nil }
    swept[node] = now
  }

  /// enter.lua
  mutating func enter(_ name: String, _ user: String) {
    guard members.updateValue(user, forKey: name) == nil else { return }
    users[user, default: 0] += 1
    if users[user] == 1 { notices.append(Notice(user: user, hasJoined: true)) }
  }

  /// leave.lua
  mutating func leave(_ name: String) {
    guard let user = members.removeValue(forKey: name) else { return }
    users[user]! -= 1
    guard users[user]! <= 0 else { return }
    users[user] = nil
    notices.append(Notice(user: user, hasJoined: false))
  }

  /// FLUSHALL
  mutating func flush() { self = ModelRedis(now: now, notices: notices) }

  init() {}

  private init(now: Int, notices: [Notice]) {
    self.now = now
    self.notices = notices
  }
}

/// A node's part in presence, one command at a time: every step is one script, so that those of several nodes interleave
/// as they may in Redis.
struct ModelNode {
  enum Task { case renew, sweepOwn, beginSweep(String), sweep(String), assert([String]) }

  let id: String
  /// Its connections in the room, with their users.
  private(set) var connections: [String: String] = [:]
  /// Whether it runs, and whether it reaches Redis.
  var isAlive = true
  var isStopped = false
  var isLinked = true { didSet { if isLinked != oldValue { linkChanged() } } }
  private var isAvailable = false
  private var isFirst = true
  private var hasCleanStart = false
  private var tasks: [Task] = [.sweepOwn]
  private var backlog: [String] = []
  /// Whether an assertion broke off.
  private var mustAssert = false
  private var renewAt = Int.max
  /// When its lease was renewed last, in virtual milliseconds.
  private(set) var renewedAt = 0
  private var arrivals = 0

  init(_ id: String) { self.id = id }

  private mutating func linkChanged() {
    isAvailable = false
    renewAt = .max
    mustAssert = mustAssert || tasks.contains { if case .assert = $0 { true } else { false } }
    tasks = isLinked ? [hasCleanStart ? .renew : .sweepOwn] : []
  }

  // MARK: Clients

  mutating func connect(_ user: String, _ redis: inout ModelRedis) {
    guard isAlive, !isStopped, isAvailable else { return }
    arrivals += 1
    let name = "\(id)-\(arrivals)"
    connections[name] = user
    redis.enter(name, user)
  }

  mutating func disconnect(_ name: String, _ redis: inout ModelRedis) {
    guard isAlive, !isStopped, connections.removeValue(forKey: name) != nil else { return }
    if isAvailable { redis.leave(name) } else { backlog.append(name) }
  }

  // MARK: Work

  /// Does one command.
  mutating func step(_ redis: inout ModelRedis) {
    guard isAlive, !isStopped, isLinked else { return }
    if redis.now >= renewAt {
      renewAt = .max
      tasks.append(.renew)
    }
    guard !tasks.isEmpty else { return }
    switch tasks.removeFirst() {
    case .renew: renew(&redis)
    case .sweepOwn:
      if redis.sweepOne(id) { return tasks.insert(.sweepOwn, at: 0) }
      redis.endSweep(id, isOwn: true)
      (hasCleanStart, isFirst) = (true, true)
      tasks.insert(.renew, at: 0)
    case .beginSweep(let dead): if redis.beginSweep(dead) { tasks.append(.sweep(dead)) }
    case .sweep(let dead):
      if redis.sweepOne(dead) { tasks.append(.sweep(dead)) } else { redis.endSweep(dead, isOwn: false) }
    case .assert(var names):
      let name = names.removeFirst()
      if let user = connections[name] { redis.enter(name, user) }
      if !names.isEmpty { tasks.insert(.assert(names), at: 0) }
    }
  }

  private mutating func renew(_ redis: inout ModelRedis) {
    let answer = redis.renew(id, isFirst: isFirst)
    isFirst = false
    renewedAt = redis.now
    renewAt = redis.now + RedisLimits.renewalMilliseconds
    if !isAvailable {
      isAvailable = true
      for name in backlog { redis.leave(name) }
      backlog = []
    }
    let isDue = answer.standing != .held || mustAssert
    mustAssert = false
    if isDue, !connections.isEmpty { tasks.append(.assert(connections.keys.sorted())) }
    for dead in answer.expired where dead != id { tasks.append(.beginSweep(dead)) }
  }
}
