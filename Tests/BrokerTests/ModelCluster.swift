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
  mutating func renew(_ node: String, isFirst: Bool) -> (status: LeaseRenewer.Status, expired: [String]) {
    var status = LeaseRenewer.Status.held
    if let mark = swept[node] {
      status = .swept
      if mark <= now - RedisLimits.claimMilliseconds { swept[node] = nil }
    } else if leases[node] == nil {
      status = .forgotten
      if !isFirst { swept[node] = now }
    }
    if isFirst { status = .held }
    leases[node] = now + RedisLimits.leaseMilliseconds
    return (status, leases.filter { $0.value < now }.keys.sorted())
  }

  /// sweep_begin.lua
  mutating func beginSweep(_ node: String, isFirst: Bool) -> Bool {
    guard let end = leases[node], end < now else { return false }
    if isFirst, let claimed = swept[node], claimed > now - RedisLimits.claimMilliseconds { return false }
    swept[node] = now
    return true
  }

  /// sweep_find.lua and presence.lua, with a chunk of one. Returns whether there is more.
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

  /// presence_enter.lua
  mutating func enter(_ name: String, _ user: String) {
    guard members.updateValue(user, forKey: name) == nil else { return }
    users[user, default: 0] += 1
    if users[user] == 1 { notices.append(Notice(user: user, hasJoined: true)) }
  }

  /// presence.lua
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
  enum Task {
    case renew, sweepOwn, beginSweep(String), assert([String])
    /// The answer to a renewal is on its way.
    case answer(LeaseRenewer.Status, expired: [String])
    case sweep(String, claimedAt: Int)
  }

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
  /// Whether the link died before a renewal was answered.
  private var isAnswerLost = false
  private var renewAt = Int.max
  /// When its lease was renewed last, in virtual milliseconds.
  private(set) var renewedAt = 0
  private var arrivals = 0

  init(_ id: String) { self.id = id }

  private mutating func linkChanged() {
    isAvailable = false
    renewAt = .max
    mustAssert = mustAssert || tasks.contains { if case .assert = $0 { true } else { false } }
    isAnswerLost = isAnswerLost || tasks.contains { if case .answer = $0 { true } else { false } }
    tasks = isLinked ? [hasCleanStart ? .renew : .sweepOwn] : []
  }

  // MARK: Clients

  mutating func connect(_ user: String, _ redis: inout ModelRedis) {
    guard isAlive, !isStopped, isAvailable else { return }
    arrivals += 1
    let name = "\(id)-\(arrivals)"
    connections[name] = user
    redis.enter(name, user)
    renewIfDue(&redis)
  }

  /// A renewal that is due leaves in the write that brings the entering: a process that was stopped does both in the tick in
  /// which it goes on, so nobody sees the one without the other.
  private mutating func renewIfDue(_ redis: inout ModelRedis) {
    for place in tasks.indices.reversed() {
      guard case .answer(let status, let expired) = tasks[place], redis.now >= nextRenewal else { continue }
      tasks.remove(at: place)
      renewed(status, expired, &redis)
    }
    let place = tasks.firstIndex { if case .renew = $0 { true } else { false } }
    guard redis.now >= renewAt || place != nil else { return }
    if let place { tasks.remove(at: place) }
    renewAt = .max
    renew(&redis)
  }

  /// Counted from when the last renewal was sent.
  private var nextRenewal: Int { renewedAt + RedisLimits.renewalMilliseconds }

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
    case .answer(let status, let expired): renewed(status, expired, &redis)
    case .beginSweep(let dead):
      if redis.beginSweep(dead, isFirst: true) { tasks.append(.sweep(dead, claimedAt: redis.now)) }
    case .sweep(let dead, var claimedAt):
      if redis.now >= claimedAt + RedisLimits.claimTrustMilliseconds {
        guard redis.beginSweep(dead, isFirst: false) else { break }
        claimedAt = redis.now
        tasks.insert(.sweep(dead, claimedAt: claimedAt), at: 0)
      } else if redis.sweepOne(dead) {
        tasks.append(.sweep(dead, claimedAt: claimedAt))
      } else {
        redis.endSweep(dead, isOwn: false)
      }
    case .assert(var names):
      let name = names.removeFirst()
      if let user = connections[name] { redis.enter(name, user) }
      if !names.isEmpty { tasks.insert(.assert(names), at: 0) }
      renewIfDue(&redis)
    }
  }

  private mutating func renew(_ redis: inout ModelRedis) {
    let answer = redis.renew(id, isFirst: isFirst)
    renewedAt = redis.now
    tasks.insert(.answer(answer.status, expired: answer.expired), at: 0)
  }

  private mutating func renewed(_ status: LeaseRenewer.Status, _ expired: [String], _ redis: inout ModelRedis) {
    let status = LeaseRenewer.status(status, isFirst: isFirst, isAnswerLost: isAnswerLost)
    (isFirst, isAnswerLost) = (false, false)
    renewAt = nextRenewal
    if !isAvailable {
      isAvailable = true
      for name in backlog { redis.leave(name) }
      backlog = []
    }
    let isDue = status != .held || mustAssert
    mustAssert = false
    if isDue, !connections.isEmpty { tasks.append(.assert(connections.keys.sorted())) }
    for dead in expired where dead != id { tasks.append(.beginSweep(dead)) }
  }
}
