import JSONCore
import TestSupport

/// A real connection that keeps the views of its rooms.
final class PresenceClient {
  let user: String
  /// Rooms that it wants to be in: it joins them again whenever it can.
  private(set) var wanted: Set<String> = []
  private(set) var views: [String: RoomView] = [:]
  private(set) var complaints: [String] = []
  private var socket: WebSocketClient?
  /// The node of its connection.
  private(set) var node: RoostProcess?
  private var greeting: String?
  private let pageLimit: Int
  /// A refused operation is not repeated before this moment of the monotonic clock.
  private var retryAt: UInt64 = 0

  init(_ user: String, pageLimit: Int) {
    self.user = user
    self.pageLimit = pageLimit
  }

  var isConnected: Bool { socket != nil }

  /// Opens a connection.
  ///
  /// - Parameter greeting: what the user says in every room as soon as it has joined. A user who is back before it has
  ///   left still has the state that it had.
  func connect(to node: RoostProcess, greeting: String? = nil) throws {
    close()
    self.greeting = greeting
    socket = try node.connect(user)
    self.node = node
  }

  /// Ends the connection without a close frame.
  func close() {
    socket?.connection.closeNow()
    complaints += views.values.flatMap(\.complaints)
    (socket, node, views) = (nil, nil, [:])
  }

  func want(_ room: String) { wanted.insert(room) }
  func leave(_ room: String) { wanted.remove(room) }
  func say(_ text: String, in room: String) { views[room]?.say(text) }

  /// The rooms that it is in.
  var rooms: [String] { views.filter { $0.value.stay == .joined }.map(\.key) }

  /// Whether it is in the rooms that it wants to be in, and everything that it asked was answered.
  var isSettled: Bool { !isConnected || (Set(rooms) == wanted && views.values.allSatisfy(\.isSettled)) }

  /// Requests `presence` of all rooms once more.
  func refresh() { for room in rooms { views[room]?.refresh() } }

  /// Receives what has arrived, then sends what is due. Returns whether anything arrived.
  func pump() throws -> Bool {
    guard let socket else { return false }
    let events = try socket.takeArrived()
    for event in events {
      switch event {
      case .text(let text): take(try Received(text))
      case .close, .end:
        close()
        return true
      case .binary, .ping, .pong: break
      }
    }
    try sendDue(on: socket)
    return !events.isEmpty
  }

  private func take(_ text: Received) {
    guard let type = text.type, !["degraded", "restored", "reconnect"].contains(type) else { return }
    if type == "error" { retryAt = Deadline.now() + 100_000_000 }
    // An error names its room in its id alone.
    let named = text.string("id").flatMap { id in id.firstIndex(of: "@").map { String(id[id.index(after: $0)...]) } }
    guard let room = named ?? text.string("room") else { return complaints.append(text.description) }
    views[room, default: view(room)].apply(type, text.json)
  }

  private func view(_ room: String) -> RoomView { RoomView(room, pageLimit: pageLimit, greeting: greeting) }

  private func sendDue(on socket: WebSocketClient) throws {
    guard Deadline.now() >= retryAt else { return }
    for room in wanted where views[room]?.stay ?? .out == .out {
      views[room, default: view(room)].join()
    }
    for room in views.keys {
      if !wanted.contains(room) { views[room]?.leave() }
      for text in views[room]?.takeOutgoing() ?? [] {
        // A connection that the server has just closed takes nothing: the next read finds its end.
        try? socket.send(text)
      }
    }
  }
}
