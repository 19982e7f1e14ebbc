import HTTPCore
import Realtime
import TimeCore
import WebSocketCore

@testable import Server

/// The parts of a connection table over connections in memory: no socket, no loop, no clock.
final class MemoryConnections: ConnectionHost, RequestRouter {
  let hub: Hub
  let parts: ConnectionParts
  let metrics = Metrics()
  private(set) var dropped: [UInt32] = []
  private(set) var timers: [(interval: Interval, action: () -> Void)] = []
  private(set) var isTickWanted = false
  private var wires: [UInt32: MemoryWire] = [:]

  init(_ change: (inout ConnectionLimits) -> Void = { _ in }) {
    var limits = ConnectionLimits()
    change(&limits)
    let broker = EmbeddedBroker(nodeID: Array("n1".utf8), historySize: 10, historyMilliseconds: 60_000, clock: { 0 })
    hub = Hub(HubConfiguration(nodeID: Array("n1".utf8)), broker: broker, clock: { 0 }, steady: { 0 })
    parts = ConnectionParts(hub: hub, limits: limits, metrics: metrics, ring: nil, trace: nil, now: .zero)
    parts.attach(to: self)
    parts.requests.router = self
  }

  /// Opens a connection on which nothing was sent yet.
  func open() -> UInt32 {
    let wire = MemoryWire()
    let id = parts.connections.insert(
      Connection(socket: -1, address: Array("203.0.113.9".utf8), role: .main, wire: .memory(wire), tick: 0))
    wires[id.index] = wire
    return id.index
  }

  /// Opens a connection that has become a WebSocket, and takes the answer and the welcome away.
  func openWebSocket(_ user: String) -> UInt32 {
    let index = open()
    receive(
      "GET /ws?user=\(user) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", on: index)
    endTick()
    _ = takeSent(index)
    return index
  }

  func receive(_ text: String, on index: UInt32) { receive(Array(text.utf8), on: index) }

  /// Gives a connection bytes as if they had been read.
  func receive(_ bytes: [UInt8], on index: UInt32) {
    var bytes = bytes
    bytes.withUnsafeMutableBytes { parts.protocols.receive(parts.connections.id(at: index), $0) }
  }

  /// Gives a connection a frame as a client sends it.
  func receive(_ opcode: Opcode, _ payload: String, on index: UInt32) {
    var frame: [UInt8] = []
    FrameWriter.appendMaskedFrame(opcode, key: MaskingKey(0x1234_5678), payload: Array(payload.utf8).span, to: &frame)
    receive(frame, on: index)
  }

  /// Ends ticks until nothing is left to do.
  func endTick() {
    repeat {
      isTickWanted = false
      if parts.endTick(hub) { isTickWanted = true }
    } while isTickWanted
  }

  /// Takes what was sent on a connection.
  func takeSent(_ index: UInt32) -> [UInt8] { wires[index]?.take() ?? [] }

  func takeText(_ index: UInt32) -> String { String(decoding: takeSent(index), as: UTF8.self) }

  func stage(_ index: UInt32) -> Connection.Stage { parts.connections[index].stage }
  func queuedBytes(_ index: UInt32) -> Int { parts.connections[index].outbox.byteCount }
  func wantsWrite(_ index: UInt32) -> Bool { parts.connections[index].wantsWrite }

  func wire(_ index: UInt32) -> MemoryWire { wires[index] ?? MemoryWire() }

  /// Runs the action of the timer that was set last.
  func runTimer() { timers.popLast()?.action() }

  /// Runs the actions of the timers that were set to an interval.
  func runTimers(of interval: Interval) {
    let due = timers.filter { $0.interval == interval }
    timers.removeAll { $0.interval == interval }
    for timer in due { timer.action() }
    endTick()
  }

  // MARK: ConnectionHost

  func drop(_ index: UInt32) {
    dropped.append(index)
    parts.remove(index)
  }

  func updateInterest(_ index: UInt32) {}
  func resumeInput(_ index: UInt32) {}
  func tickAgain() { isTickWanted = true }
  func after(_ interval: Interval, _ action: @escaping () -> Void) { timers.append((interval, action)) }

  // MARK: RequestRouter

  func route(_ request: Request) {
    if request.head.path == Array("/socket.io/".utf8) { return openEngine(request) }
    guard request.head.path == Array("/ws".utf8) else {
      return parts.requests.respond(
        request.connection, .text(Array("you asked for \(Log.text(request.head.path))\n".utf8)))
    }
    guard case .accepted(let acceptance) = Handshake.judge(Handshake.Request(request.head), deflate: false) else {
      return parts.requests.respond(request.connection, .text(status: 400, "no handshake\n"))
    }
    parts.requests.upgrade(request, acceptance, echo: false)
    let user = request.head.query.first("user")
    parts.webSockets.openSession(request.connection, user: user, token: nil, isLocal: false)
  }

  /// A handshake of Socket.IO, with `sid` that of an upgrade.
  private func openEngine(_ request: Request) {
    guard case .accepted(let acceptance) = Handshake.judge(Handshake.Request(request.head), deflate: false) else {
      return parts.requests.respond(request.connection, .text(status: 400, "no handshake\n"))
    }
    guard let sid = request.head.query.first("sid") else {
      return parts.engines.open(request, acceptance, .socketIO, nil)
    }
    guard let engine = parts.engines.store.find(sid), parts.engines.upgrade(engine, request, acceptance) else {
      return parts.requests.respond(request.connection, .text(status: 400, "no such session\n"))
    }
  }

  func decorate(_ response: inout Response, for head: RequestHead) {}
  func bodyBytesMax(_ head: RequestHead) -> Int { 1024 }
}
