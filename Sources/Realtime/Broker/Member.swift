import JSONCore

/// How a client is connected.
public enum Transport: UInt8, CaseIterable, Sendable {
  case websocket, sse, poll, socketio

  /// The name on the wire, in presence and in metrics.
  public var name: StaticString {
    switch self {
    case .websocket: "websocket"
    case .sse: "sse"
    case .poll: "poll"
    case .socketio: "socketio"
    }
  }
}

/// One connection as presence knows it. In Redis it is a hash field (`name`) with a JSON value.
public struct Member: Equatable, Sendable {
  /// The connection's name, unique in the cluster: its node's id, a dash, a handle.
  public var name: [UInt8]
  /// The id of the node that holds the connection.
  public var node: [UInt8]
  public var user: [UInt8]
  public var transport: Transport
  /// The client's numeric address.
  public var address: [UInt8]
  /// Milliseconds since 1970: when it connected, or entered the room.
  public var since: UInt64
  /// The user's `info`, one JSON value, or nil.
  public var info: [UInt8]?

  public init(
    name: [UInt8], node: [UInt8], user: [UInt8], transport: Transport, address: [UInt8], since: UInt64, info: [UInt8]?
  ) {
    self.name = name
    self.node = node
    self.user = user
    self.transport = transport
    self.address = address
    self.since = since
    self.info = info
  }
}

extension Member {
  /// The user as a JSON string, quotes included.
  public var userJSON: [UInt8] {
    var json: [UInt8] = []
    json.reserveCapacity(user.count + 2)
    JSONString.append(user.span, to: &json)
    return json
  }
}
