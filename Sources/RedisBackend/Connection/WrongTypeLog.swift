import Realtime

/// Logs which keys have a type that Roost does not write there: each once, and no more of them than anybody reads.
final class WrongTypeLog {
  private static let keysMax = 100

  private let keys: RedisKeys
  private let log: RedisBroker.Log
  private var reported: Set<String> = []

  init(keys: RedisKeys, log: @escaping RedisBroker.Log) {
    self.keys = keys
    self.log = log
  }

  /// What it means that a command of one key had no useful answer. A key of a wrong type is logged.
  func failure(of reply: Reply?, _ key: @autoclosure () -> [UInt8]) -> BrokerError {
    guard reply?.isWrongType == true else { return .unavailable }
    report([key()])
    return .refused
  }

  /// Logs the keys of a message, one of which has a wrong type.
  func refusal(of message: RoomMessage) -> BrokerError {
    var names = ["}:meta", "}:log"].map { keys.room + message.room + Array($0.utf8) }
    if message.dedupe != nil { names += ["new", "old"].map { keys.idPlace(of: .room(message.room)) + Array($0.utf8) } }
    report(names)
    return .refused
  }

  /// Logs keys, one of which has a wrong type.
  func report(_ keys: [[UInt8]]) {
    guard !keys.isEmpty else { return }
    let names = keys.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
    guard reported.count < WrongTypeLog.keysMax, reported.insert(names).inserted else { return }
    log(
      .warning,
      "Redis holds something of another type than Roost writes at \(keys.count == 1 ? "the key" : "one of the keys") "
        + "\(names): what needs it is answered internal. Look at it with TYPE and RENAME or DEL it; another program "
        + "that uses the same Redis needs another --redis-prefix")
  }
}

extension BrokerError {
  /// What it means that a command had no useful answer. An error about the key alone does not mean that Redis is out of
  /// reach.
  init(_ reply: Reply?) { self = reply?.isWrongType == true ? .refused : .unavailable }
}
