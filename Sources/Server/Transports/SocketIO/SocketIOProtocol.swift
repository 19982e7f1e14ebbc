import ClientProtocol
import JSONCore
import LoopCore
import Realtime
import SocketIOCore

/// What the messages of Socket.IO clients mean: they connect to namespaces, their events are published, or are operations.
final class SocketIOProtocol: EngineMessages {
  private let transport: SocketIOTransport
  private let connects: SocketConnects
  private let engines: EngineConnections
  private let sockets: NamespaceSocketStore
  private let hub: Hub
  private let metrics: Metrics

  init(_ transport: SocketIOTransport, _ connects: SocketConnects) {
    self.transport = transport
    self.connects = connects
    engines = transport.engines
    sockets = transport.sockets
    hub = transport.hub
    metrics = transport.engines.metrics
  }

  // MARK: Packets

  func receive(text: Span<UInt8>, on engine: SlabID) {
    let packet: SocketPacket?
    do throws(PacketFault) { packet = try engines.store[engine.index].assembler.addText(text) } catch {
      return engines.fail(engine.index, error.text)
    }
    if let packet { take(packet, text, [], engine) }
  }

  func receive(binary: Span<UInt8>, on engine: SlabID) {
    let whole: PacketAssembler.Assembled?
    do throws(PacketFault) { whole = try engines.store[engine.index].assembler.addBinary(binary) } catch {
      return engines.fail(engine.index, error.text)
    }
    if let whole { take(whole.packet, whole.text.span, whole.attachments, engine) }
  }

  private func take(_ packet: SocketPacket, _ text: Span<UInt8>, _ attachments: [[UInt8]], _ engine: SlabID) {
    let namespace = text.extracting(packet.namespace)
    let known = sockets.find(namespace, of: engine.index)
    switch packet.type {
    case .connect where known == nil: return connects.connect(packet, text, on: engine)
    case .connect, .connectError: break
    case .disconnect, .event, .binaryEvent, .ack, .binaryAck:
      if let known, sockets[known].opening == nil { return take(packet, text, attachments, known, engine) }
      // Its client may not know yet that it is not connected there any more.
      if known == nil, engines.store[engine.index].hasDismissed { return }
    }
    engines.fail(engine.index, "the packet does not fit: connect to its namespace first, and once")
  }

  private func take(
    _ packet: SocketPacket, _ text: Span<UInt8>, _ attachments: [[UInt8]], _ socket: UInt32, _ engine: SlabID
  ) {
    switch packet.type {
    case .disconnect: transport.end(socket)
    case .event, .binaryEvent:
      guard let arguments = packet.arguments else { return }
      let event = SocketEvent(arguments: arguments, ackID: packet.ackID, attachments: attachments, socket: socket)
      if engines.limits.isConformance { answerForConformance(event, text) } else { take(event, text) }
    // What a client acknowledges the server has not asked for. It costs all the same.
    case .ack, .binaryAck: if let session = sockets[socket].session { _ = hub.chargePing(session, bytes: text.count) }
    case .connect, .connectError: break
    }
  }

  // MARK: Events

  private struct SocketEvent {
    let arguments: PacketArguments
    let ackID: UInt64?
    let attachments: [[UInt8]]
    let socket: UInt32
  }

  private func take(_ event: SocketEvent, _ text: Span<UInt8>) {
    switch EventName(of: event.arguments, in: text) {
    case .ordinary: publish(event, text)
    case .operation(let operation): perform(operation, event, text)
    case .forbidden: refuse(event, .forbidden, "only the server sends events of this name, or Socket.IO reserves it")
    case .invalid: refuse(event, .badRequest, "the name of an event is a string in valid Unicode")
    }
  }

  /// Publishes an event in the namespace's default room, or has the program answer it that embeds this node.
  private func publish(_ event: SocketEvent, _ text: Span<UInt8>) {
    guard let session = sockets[event.socket].session else { return }
    if authenticate(event, text, session) { return }
    let room = sockets[event.socket].defaultRoom
    var operation: [UInt8] = []
    operation.reserveCapacity(text.count + 64)
    if hub.actions.hasOfProgram, let name = event.arguments.name?.string?.decoded(in: text),
      hub.actions.isOfProgram(name)
    {
      operation.append("{\"type\":\"request\",\"action\":")
      JSONString.append(name.span, to: &operation)
      operation.append(",\"payload\":{")
      EventMapping.appendMembers(of: event.arguments, in: text, attachments: event.attachments, to: &operation)
      operation.append("}}")
    } else {
      operation.append("{\"type\":\"message\",\"room\":")
      JSONString.append(room.span, to: &operation)
      operation.append(",\"echo\":true,")
      EventMapping.appendMembers(of: event.arguments, in: text, attachments: event.attachments, to: &operation)
      operation.append(UInt8(ascii: "}"))
    }
    perform(operation, of: session, event, isNative: false)
  }

  /// Takes an event `auth` that has a token as the operation of that name: its token is for the server, not for the namespace.
  /// Returns false for every other event.
  private func authenticate(_ event: SocketEvent, _ text: Span<UInt8>, _ session: SlabID) -> Bool {
    guard event.arguments.name?.string?.equals("auth", in: text) == true, let argument = event.arguments.first,
      argument.kind == .object
    else { return false }
    let object = text.extracting(argument.value)
    var scanner = JSONScanner(object)
    while let member = scanner.nextValidMember() {
      guard member.key.equals("token", in: object), member.kind == .string else { continue }
      var operation: [UInt8] = []
      operation.append("{\"type\":\"auth\",\"token\":")
      operation.append(copying: object.extracting(member.value))
      operation.append(UInt8(ascii: "}"))
      perform(operation, of: session, event, isNative: true)
      return true
    }
    return false
  }

  private func perform(_ operation: EventOperation, _ event: SocketEvent, _ text: Span<UInt8>) {
    guard let session = sockets[event.socket].session else { return }
    let namespace = sockets[event.socket].namespace
    var native: [UInt8] = []
    native.reserveCapacity(text.count + 64)
    let problem = EventMapping.appendOperation(
      operation, event.arguments, in: text, attachments: event.attachments, namespace: namespace.span, to: &native)
    if let problem { return refuse(event, .badRequest, problem, isNative: true) }
    if operation == .join { noteAsked(native, event.socket) }
    perform(native, of: session, event, isNative: true)
  }

  /// Remembers from where a client asks to join a room.
  private func noteAsked(_ operation: [UInt8], _ socket: UInt32) {
    guard let parsed = try? ClientOperation(parsing: operation.span), let since = parsed.since,
      let room = parsed.room?.decoded(in: operation.span)
    else { return }
    transport.noteAsked(socket, room, since: since)
  }

  private func perform(_ operation: [UInt8], of session: SlabID, _ event: SocketEvent, isNative: Bool) {
    guard let ackID = event.ackID else { return hub.receive(text: operation.span, from: session) }
    let id = sockets.id(at: event.socket)
    hub.perform(operation.span, from: session) { [weak self] text, code in
      self?.acknowledge(ackID, of: id, isNative ? text : Self.outcome(text, code))
    }
  }

  /// What the ack of an event has that is no operation: `{"ok":true, …}` with the members of the native answer, or
  /// `{"ok":false,"code":…}`.
  private static func outcome(_ text: [UInt8], _ code: ErrorCode?) -> [UInt8] {
    if let code { return refusal(code, (try? JSONValue.parse(text.span))?["message"]?.asString ?? "") }
    var outcome: [UInt8] = []
    outcome.append("{\"ok\":true")
    let span = text.span
    var scanner = JSONScanner(span)
    do throws(JSONError) {
      while let member = try scanner.nextMember() {
        if member.key.equals("type", in: span) { continue }
        if member.key.equals("ok", in: span) {
          // A handler's own.
          outcome.removeAll()
          outcome.append(UInt8(ascii: "{"))
        } else {
          outcome.append(UInt8(ascii: ","))
        }
        outcome.append(copying: span.extracting(member.range))
      }
    } catch {
      // The hub writes no other.
    }
    outcome.append(UInt8(ascii: "}"))
    return outcome
  }

  /// Refuses an event: in its ack, or by an event `error` when it has none, so that nothing is lost unseen.
  ///
  /// - Parameter isNative: whether its ack carries the native answer.
  private func refuse(_ event: SocketEvent, _ code: ErrorCode, _ message: StaticString, isNative: Bool = false) {
    metrics.requestsRefused += 1
    guard sockets[event.socket].session.map({ hub.chargePing($0, bytes: 0) }) ?? true else { return }
    let error = ServerEvent.json(ofError: ProtocolError(code, "\(message)"))
    guard let ackID = event.ackID else { return transport.tell(error.span, .error, to: event.socket, at: nil) }
    acknowledge(ackID, of: sockets.id(at: event.socket), isNative ? error : Self.refusal(code, "\(message)"))
  }

  /// The ack of what was refused and is no operation: `{"ok":false,"code":…,"message":…}`.
  private static func refusal(_ code: ErrorCode, _ message: String) -> [UInt8] {
    var writer = JSONWriter()
    writer.beginObject()
    writer.key("ok")
    writer.bool(false)
    writer.key("code")
    writer.string(code.wireName)
    writer.key("message")
    writer.string(message)
    writer.endObject()
    return writer.finish()
  }

  private func acknowledge(_ ackID: UInt64, of socket: SlabID, _ argument: [UInt8]) {
    guard sockets.contains(socket), !sockets[socket.index].hasEnded else { return }
    let namespace = sockets[socket.index].namespace
    var packets = EncodedPackets()
    PacketWriter.appendAck(ackID, list: argument.span, namespace: namespace.span, to: &packets)
    transport.send(packets, to: socket.index, isSolicited: true)
  }

  // MARK: Conformance

  /// Answers as the protocol's test suite expects it.
  private func answerForConformance(_ event: SocketEvent, _ text: Span<UInt8>) {
    guard let name = event.arguments.name?.string else { return }
    let namespace = sockets[event.socket].namespace
    var packets = EncodedPackets()
    if name.equals("message", in: text) {
      PacketWriter.appendEvent(
        "message-back", repeating: event.arguments, in: text, attachments: event.attachments, namespace: namespace.span,
        to: &packets)
    } else if name.equals("message-with-ack", in: text), let ackID = event.ackID {
      PacketWriter.appendAck(
        ackID, repeating: event.arguments, in: text, attachments: event.attachments, namespace: namespace.span,
        to: &packets)
    }
    transport.send(packets, to: event.socket, isSolicited: true)
  }

  // MARK: Connections

  func upgraded(_ engine: UInt32) { transport.upgraded(engine) }

  func closed(_ engine: UInt32) { for socket in sockets.all(of: engine) { transport.end(socket) } }

  func forEachSession(of engine: UInt32, _ body: (SlabID) -> Void) {
    for socket in sockets.all(of: engine) { if let session = sockets[socket].session { body(session) } }
  }
}
