import Realtime

/// Remembers which keys of a wrong type the log has named: each once, and no more of them than anybody reads; pure.
struct WrongTypes {
  private static let keysMax = 100

  private var told: Set<String> = []

  /// Whether this is to be told now.
  mutating func isNew(_ keys: String) -> Bool { told.count < WrongTypes.keysMax && told.insert(keys).inserted }
}

extension RedisBroker {
  /// What it means that a command had no useful answer. An error about the key alone says nothing about whether Redis is there.
  static func failure(of reply: Reply?) -> BrokerError { reply?.isWrongType == true ? .refused : .unavailable }

  /// The same for a command of one key, which the log names.
  func failure(of reply: Reply?, _ key: @autoclosure () -> [UInt8]) -> BrokerError {
    guard reply?.isWrongType == true else { return .unavailable }
    tellWrongType([key()])
    return .refused
  }

  /// Names the keys of a message that one of them refused.
  func refusal(of message: RoomMessage) -> BrokerError {
    var room = ["}:meta", "}:log"].map { keys.room + message.room + Array($0.utf8) }
    if message.dedupe != nil { room += ["new", "old"].map { keys.idPlace(of: .room(message.room)) + Array($0.utf8) } }
    tellWrongType(room)
    return .refused
  }

  func tellWrongType(_ keys: [[UInt8]]) {
    guard !keys.isEmpty else { return }
    let names = keys.map { String(decoding: $0, as: UTF8.self) }.joined(separator: ", ")
    guard wrongTypes.isNew(names) else { return }
    log(
      .warning,
      "Redis holds something of another type than Roost writes at \(keys.count == 1 ? "the key" : "one of the keys") "
        + "\(names): what needs it is answered internal. Look at it with TYPE and RENAME or DEL it; another program "
        + "that uses the same Redis needs another --redis-prefix")
  }
}
