import Glibc
import TestSupport

/// What the nodes of a testbed keep their state in, and what can be done to it.
protocol Store: AnyObject {
  /// The value of `--redis` for nodes that reach it without a proxy.
  var url: String { get }
  /// All servers, running or not.
  var servers: [RedisProcess] { get }
  /// The servers that hold the keys now and answer.
  var masters: [RedisProcess] { get }
  /// Does a fault that is none of a node's. Returns what ends it; nil: it is not possible now.
  func act(_ fault: Fault) throws -> (() throws -> Void)?
}

/// One Redis, with or without a file that outlives it, on a clock that may be set.
final class SingleStore: Store {
  let redis: RedisProcess
  private let clock: ProcessClock?
  /// Where Redis keeps its append-only file, or nil.
  private let folder: String?

  init(isDurable: Bool, hasOwnClock: Bool) throws {
    var template = Array("/tmp/roost-redis-XXXXXX".utf8CString)
    folder = isDurable ? mkdtemp(&template).map { String(cString: $0) } : nil
    clock = hasOwnClock ? try ProcessClock() : nil
    // Without fsync nothing delays the write before a reply, and what the kernel has outlives a killed process.
    redis = try RedisProcess(
      folder.map { ["--appendonly", "yes", "--appendfsync", "no", "--dir", $0] } ?? [],
      environment: clock?.environment() ?? [:])
  }

  deinit {
    redis.kill()
    if let folder, let remover = try? ChildProcess(["rm", "-rf", folder]) { _ = try? remover.waitForEnd() }
  }

  var url: String { redis.url }
  var servers: [RedisProcess] { [redis] }
  var masters: [RedisProcess] { [redis] }

  func act(_ fault: Fault) throws -> (() throws -> Void)? {
    switch fault {
    case .stopRedis:
      redis.pause()
      return { [redis] in redis.resume() }
    case .killRedis:
      redis.kill()
      return { [redis] in try redis.restart() }
    case .setRedisClock(let seconds):
      try clock?.jump(milliseconds: Int64(seconds) * 1000)
      return {}
    default: return nil
    }
  }
}
