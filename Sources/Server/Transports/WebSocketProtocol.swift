import ClientProtocol
import Compression
import LoopCore
import Realtime
import WebSocketCore

/// What a WebSocket does with the bytes that it receives: frames become messages for the hub, or echoes.
final class WebSocketProtocol {
  /// Bytes of a message on `/echo`: what the conformance suite sends.
  private static let echoBytesMax = 16 * 1024 * 1024
  /// Echoes are written early, so that a large burst does not pile up.
  private static let queuedEchoBytesMax = 256 * 1024

  private let connections: ConnectionStore
  private let hub: Hub
  private let timers: ConnectionTimers
  private let input: HeldInput
  private let queues: SendQueues
  private let sessions: ConnectionSessions
  private let compression: MessageCompression
  private let limits: ConnectionLimits
  private let metrics: Metrics
  /// Who takes the messages of WebSockets that carry several sessions.
  weak var carriers: (any SessionCarriers)?
  /// Who takes the messages of operators' WebSockets.
  weak var operators: (any OperatorSockets)?

  init(
    _ connections: ConnectionStore, hub: Hub, timers: ConnectionTimers, input: HeldInput, queues: SendQueues,
    sessions: ConnectionSessions, compression: MessageCompression, limits: ConnectionLimits, metrics: Metrics
  ) {
    self.connections = connections
    self.hub = hub
    self.timers = timers
    self.input = input
    self.queues = queues
    self.sessions = sessions
    self.compression = compression
    self.limits = limits
    self.metrics = metrics
  }

  /// Turns a connection whose handshake was answered into a WebSocket.
  func begin(_ index: UInt32, deflate: DeflateParameters?, echo: Bool) {
    connections[index].exchange = nil
    connections[index].deflateBits = deflate?.serverWindowBits ?? 0
    connections[index].reader = MessageReader(
      role: .server, messageBytesMax: messageBytesMax(echo: echo), deflate: deflate != nil)
    timers.enter(echo ? .echo : .websocket, index)
    sessions.noteOpened(index, .websocket)
  }

  /// Turns a connection whose handshake was answered into a WebSocket that carries an Engine.IO connection.
  func begin(_ index: UInt32, engine: SlabID, messageBytesMax: Int) {
    connections[index].exchange = nil
    connections[index].reader = MessageReader(role: .server, messageBytesMax: messageBytesMax, deflate: false)
    connections[index].engine = engine
    timers.enter(.engine, index)
  }

  /// Turns a connection whose handshake was answered into a WebSocket of an operator, who is no client: it is counted nowhere.
  func begin(_ index: UInt32, operatorMessageBytesMax: Int, deflate: DeflateParameters?) {
    connections[index].exchange = nil
    connections[index].deflateBits = deflate?.serverWindowBits ?? 0
    connections[index].reader = MessageReader(
      role: .server, messageBytesMax: operatorMessageBytesMax, deflate: deflate != nil)
    connections[index].isOfOperator = true
    timers.enter(.admin, index)
  }

  /// Opens the session of a connection that has just become a WebSocket. Over the limit the client is asked to return later.
  ///
  /// - Parameters:
  ///   - user: the user's name, where names are believed.
  ///   - token: what is to prove the user's name; without either, an `auth` must come.
  ///   - headers: what of the handshake goes along with the question who may connect.
  ///   - isLocal: whether the client's address is a local one.
  func openSession(
    _ id: SlabID, user: [UInt8]?, token: [UInt8]?, headers: [HeaderLine] = [], isLocal: Bool
  ) {
    guard connections.contains(id), connections[id.index].stage == .websocket else { return }
    if let max = limits.connectionsMax, sessions.count > max {
      metrics.connectionsRefused += 1
      metrics.refusals.add(.connections)
      return sessions.close(id.index, because: .full)
    }
    let sharesCompression = connections[id.index].deflateBits == MessageCompression.sharedWindowBits
    var request = SessionRequest(
      connection: id.index, format: sharesCompression ? .webSocketDeflated : .webSocket, transport: .websocket,
      address: connections[id.index].address, user: user, token: token, isLocal: isLocal)
    request.headers = headers
    let session = hub.open(request)
    // The hub may have found the connection's queue full with its greeting: then it is closing already.
    if connections[id.index].stage == .websocket {
      connections[id.index].session = session
    } else {
      sessions.end(session)
    }
  }

  private func messageBytesMax(echo: Bool) -> Int { echo ? WebSocketProtocol.echoBytesMax : limits.messageBytesMax }

  // MARK: Frames

  /// Takes the frames in `bytes` until they are used up or the connection leaves its stage.
  func readFrames(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    var isNew = false
    while connections.contains(id), !connections[id.index].isPaused {
      switch connections[id.index].reader.next(in: bytes, from: &cursor) {
      case .needMore: return noteProgress(id.index, isNew: isNew)
      case .message(let kind, let isCompressed, let payload):
        isNew = true
        payload.withSpan(in: bytes) { isCompressed ? inflate(id, kind, $0) : receive(id, kind, $0) }
      case .ping(let payload):
        // A control frame between the fragments of a message completes nothing of it (RFC 6455 section 5.4).
        if !connections[id.index].reader.holdsMessage { isNew = true }
        answerPing(id, payload, bytes)
      case .pong: if !connections[id.index].reader.holdsMessage { isNew = true }
      case .close(let code, _): acceptClose(id, code)
      case .failed(let code, let reason): fail(id.index, code, reason)
      }
    }
  }

  /// Remembers since when a message waits for its end.
  ///
  /// - Parameter isNew: whether no message was open at some moment within these bytes, so that what is open now has only
  ///   begun.
  private func noteProgress(_ index: UInt32, isNew: Bool) {
    if connections[index].isMidMessage {
      timers.noteUnfinished(index, isNew: isNew)
    } else {
      connections[index].unfinishedSince = nil
    }
  }

  private func receive(_ id: SlabID, _ kind: MessageKind, _ payload: Span<UInt8>) {
    switch connections[id.index].stage {
    case .websocket:
      guard let session = connections[id.index].session else { return }
      if kind == .text {
        hub.receive(text: payload, from: session)
      } else {
        hub.receive(binary: payload, from: session)
      }
    case .echo:
      appendMessage(kind.opcode, payload, to: id.index)
      guard connections[id.index].outbox.byteCount > WebSocketProtocol.queuedEchoBytesMax else { return }
      queues.flush(id.index)
      // A peer that does not read its echoes is not read either.
      if connections.contains(id), !connections[id.index].outbox.isEmpty { input.pause(id.index, .broker) }
    case .admin: if kind == .text { operators?.receive(text: payload, on: id) }
    case .engine:
      if kind == .text { carriers?.receive(text: payload, on: id) } else { carriers?.receive(binary: payload, on: id) }
    case .preamble, .handshake, .request, .idle, .answering, .eventStream, .closing, .finishing, .lingering: break
    }
  }

  /// RFC 7692 section 6.2. The reader has bounded the compressed message, this bounds what comes out of it.
  private func inflate(_ id: SlabID, _ kind: MessageKind, _ payload: Span<UInt8>) {
    let bytesMax = messageBytesMax(echo: connections[id.index].stage == .echo)
    do throws(MessageInflater.Failure) {
      let message = try compression.inflater.inflate(payload, bytesMax: bytesMax)
      // RFC 6455 section 8.1, which applies to the message as it was before compression.
      guard kind == .binary || UTF8Validator.isValid(message.span) else {
        return fail(id.index, .invalidPayload, "text is not valid UTF-8 (RFC 6455 section 8.1)")
      }
      receive(id, kind, message.span)
    } catch {
      switch error {
      case .tooLarge: fail(id.index, .messageTooBig, "the message is too large once inflated")
      case .corrupt: fail(id.index, .invalidPayload, "the message is not a deflate stream (RFC 7692 section 7.2.2)")
      }
    }
  }

  /// Queues one message for one connection, compressed when it is worth it there.
  @inline(__always)
  func appendMessage(_ opcode: Opcode, _ payload: Span<UInt8>, to index: UInt32) {
    if let small = compression.deflate(payload, windowBits: connections[index].deflateBits) {
      queues.append(to: index) { FrameWriter.appendFrame(opcode, rsv1: true, payload: small.span, to: &$0) }
    } else {
      queues.append(to: index) { FrameWriter.appendFrame(opcode, payload: payload, to: &$0) }
    }
  }

  /// RFC 6455 section 5.5.3: a pong carries the ping's payload.
  private func answerPing(_ id: SlabID, _ payload: MessageReader.Payload, _ bytes: UnsafeMutableRawBufferPointer) {
    guard connections[id.index].stage != .closing else { return }
    if let session = connections[id.index].session, !hub.chargePing(session, bytes: payload.count) { return }
    queues.answer(id.index) {
      payload.withSpan(in: bytes) { span in
        queues.append(to: id.index) { FrameWriter.appendFrame(.pong, payload: span, to: &$0) }
      }
    }
  }

  // MARK: The end

  /// RFC 6455 section 5.5.1: the end that receives a close frame first sends one back; the server then closes the connection.
  private func acceptClose(_ id: SlabID, _ code: CloseCode?) {
    if connections[id.index].stage != .closing {
      sessions.traceEnd(id.index, "closed by the client", code)
      queues.append(to: id.index) { FrameWriter.appendClose(code, reason: [UInt8]().span, to: &$0) }
      sessions.end(id.index)
    }
    connections[id.index].isPeerDone = true
    queues.finish(id.index)
  }

  /// Closes a connection with which everything is all right.
  func closeNormally(_ index: UInt32) {
    guard connections[index].stage == .engine else { return }
    queues.append(to: index) { FrameWriter.appendClose(.normal, reason: [UInt8]().span, to: &$0) }
    sessions.end(index)
    timers.enter(.closing, index)
  }

  /// RFC 6455 section 7.1.7: sends the reason, then closes without waiting for an answer that could not be understood.
  func fail(_ index: UInt32, _ code: CloseCode, _ reason: StaticString) {
    metrics.protocolErrors += 1
    sessions.traceEnd(index, "protocol error", code, "\(reason)")
    if connections[index].stage != .closing {
      queues.append(to: index) { FrameWriter.appendClose(code, reason: reason, to: &$0) }
      sessions.end(index)
    }
    queues.finish(index)
  }

  /// Closes a connection that leaves a message unfinished: it would hold what has come of it for ever (slowloris). The
  /// code lets an honest client on a dying line return.
  func failUnfinished(_ index: UInt32) {
    metrics.refusals.add(.messageTime)
    let reason = CloseReason.messageUnfinished
    let code = CloseCode(rawValue: reason.code)
    sessions.traceEnd(index, "closing a connection", code, "\(reason.text)")
    queues.append(to: index) { FrameWriter.appendClose(code, reason: reason.text, to: &$0) }
    sessions.end(index)
    // In the middle of a frame the peer cannot answer: nothing is waited for.
    queues.finish(index)
  }
}
