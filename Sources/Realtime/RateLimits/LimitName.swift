/// A limit whose refusals are counted for `/metrics`. The label is the name of the setting, where there is one.
public enum LimitName: Int, CaseIterable, Sendable {
  case openFiles, connections, connectionsPerAddress, connectionsPerUser, handshakes, adminGuesses
  case operations, bytes, roomPublishes, directs, newRooms, nodeNewRooms, rooms, wildcards, authenticationTime
  case messageTime, origins, questions

  public var label: StaticString {
    switch self {
    case .openFiles: "open-files"
    case .connections: "max-connections"
    case .connectionsPerAddress: "max-connections-per-address"
    case .connectionsPerUser: "max-connections-per-user"
    case .handshakes: "handshake-rate"
    case .adminGuesses: "admin-guesses"
    case .operations: "rate"
    case .bytes: "rate-bytes"
    case .roomPublishes: "room-rate"
    case .directs: "direct-rate"
    case .newRooms: "new-room-rate"
    case .nodeNewRooms: "node-new-room-rate"
    case .rooms: "max-rooms"
    case .wildcards: "max-wildcards"
    case .authenticationTime: "auth-timeout"
    case .messageTime: "message-timeout"
    case .origins: "origins"
    case .questions: "webhook-ask"
    }
  }
}

/// Counts what limits have refused since the start.
public struct LimitRefusals: Sendable {
  private var counts = [UInt64](repeating: 0, count: LimitName.allCases.count)

  public init() {}

  /// Refusals by one limit.
  public subscript(limit: LimitName) -> UInt64 { counts[limit.rawValue] }

  public mutating func add(_ limit: LimitName) { counts[limit.rawValue] &+= 1 }
}
