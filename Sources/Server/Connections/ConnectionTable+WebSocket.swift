import ClientProtocol
import Compression
import LoopCore
import Realtime
import WebSocketCore

extension ConnectionTable {
  /// Turns a connection whose handshake was answered into a WebSocket.
  func becomeWebSocket(_ index: UInt32, deflate: DeflateParameters?, echo: Bool) {
    connections[index].exchange = nil
    connections[index].deflateBits = deflate?.serverWindowBits ?? 0
    connections[index].reader = MessageReader(
      role: .server, messageBytesMax: messageBytesMax(echo: echo), deflate: deflate != nil)
    enter(echo ? .echo : .websocket, index)
    connections[index].isWebSocket = true
    webSocketCount += 1
  }

  private func messageBytesMax(echo: Bool) -> Int { echo ? ConnectionTable.echoBytesMax : limits.messageBytesMax }

  /// Bytes of a message on `/echo`: what the conformance suite sends.
  private static let echoBytesMax = 16 * 1024 * 1024

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
      noteUnfinished(index, isNew: isNew)
    } else {
      connections[index].unfinishedSince = nil
    }
  }

  /// Ends a connection that leaves a message unfinished: it would hold what has come of it for ever (slowloris). The
  /// code lets an honest client on a dying line come back.
  func failUnfinished(_ index: UInt32) {
    metrics.refusals.add(.messageTime)
    let reason = CloseReason.messageUnfinished
    let code = CloseCode(rawValue: reason.code)
    traceEnd(index, "closing a connection", code, "\(reason.text)")
    append(to: index) { FrameWriter.appendClose(code, reason: reason.text, to: &$0) }
    endSession(index)
    // In the middle of a frame the peer cannot answer: nothing is waited for.
    finish(index)
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
      guard connections[id.index].outbox.byteCount > ConnectionTable.readBytesBeforeFlush else { return }
      flush(id.index)
      // A peer that does not read its echoes is not read either.
      if connections.contains(id), !connections[id.index].outbox.isEmpty { pauseReading(id.index) }
    case .preamble, .handshake, .request, .idle, .answering, .closing, .finishing, .lingering: break
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
  func appendMessage(_ opcode: Opcode, _ payload: Span<UInt8>, to index: UInt32) {
    if let small = compression.deflate(payload, windowBits: connections[index].deflateBits) {
      append(to: index) { FrameWriter.appendFrame(opcode, rsv1: true, payload: small.span, to: &$0) }
    } else {
      append(to: index) { FrameWriter.appendFrame(opcode, payload: payload, to: &$0) }
    }
  }

  /// Echoes are written early, so that a large burst does not pile up.
  private static var readBytesBeforeFlush: Int { 256 * 1024 }

  /// RFC 6455 section 5.5.3: a pong carries the ping's payload.
  private func answerPing(_ id: SlabID, _ payload: MessageReader.Payload, _ bytes: UnsafeMutableRawBufferPointer) {
    guard connections[id.index].stage != .closing else { return }
    if let session = connections[id.index].session, !hub.chargePing(session, bytes: payload.count) { return }
    let before = connections[id.index].outbox.byteCount
    payload.withSpan(in: bytes) { span in
      append(to: id.index) { FrameWriter.appendFrame(.pong, payload: span, to: &$0) }
    }
    noteAnswer(id.index, before: before)
  }

  /// RFC 6455 section 5.5.1: whoever gets a close frame first sends one back; the server then closes the connection.
  private func acceptClose(_ id: SlabID, _ code: CloseCode?) {
    if connections[id.index].stage != .closing {
      traceEnd(id.index, "closed by the client", code)
      append(to: id.index) { FrameWriter.appendClose(code, reason: [UInt8]().span, to: &$0) }
      endSession(id.index)
    }
    connections[id.index].isPeerDone = true
    finish(id.index)
  }

  /// RFC 6455 section 7.1.7: says why, then ends without waiting for an answer that could not be understood.
  private func fail(_ index: UInt32, _ code: CloseCode, _ reason: StaticString) {
    metrics.protocolErrors += 1
    traceEnd(index, "protocol error", code, trace == nil ? "" : "\(reason)")
    if connections[index].stage != .closing {
      append(to: index) { FrameWriter.appendClose(code, reason: reason, to: &$0) }
      endSession(index)
    }
    finish(index)
  }

  /// Everything is said: sends what is queued, then closes.
  func finish(_ index: UInt32) {
    enter(.finishing, index)
    markDirty(index)
  }

  func endSession(_ index: UInt32) {
    // The connection keeps the name of its session: if it is dropped before the tick ends, the session ends with it.
    if let session = connections[index].session { ending.append(session) }
    // The peer's close frame is to be read, whatever the broker owes.
    resume(index, [.broker, .queue])
  }

  /// Past the limit a reader is too slow: what it has not read yet it can ask for when it comes back.
  func limitQueue(_ index: UInt32) {
    guard connections[index].outbox.unsolicitedBytes > limits.queueBytesMax, connections[index].stage == .websocket
    else { return }
    metrics.slowConsumers += 1
    connections[index].outbox.dropUnsent()
    close(index, because: .slowConsumer)
  }
}
