import LoopCore
import Realtime
import WebSocketCore

extension ConnectionTable {
  /// Turns a connection whose handshake was answered into a WebSocket.
  func becomeWebSocket(_ index: UInt32, echo: Bool) {
    connections[index].exchange = nil
    let messageBytesMax = echo ? ConnectionTable.echoBytesMax : limits.messageBytesMax
    connections[index].reader = MessageReader(role: .server, messageBytesMax: messageBytesMax, deflate: false)
    enter(echo ? .echo : .websocket, index)
    connections[index].isWebSocket = true
    webSocketCount += 1
  }

  /// Bytes of a message on `/echo`: what the conformance suite sends.
  private static let echoBytesMax = 16 * 1024 * 1024

  /// Takes the frames in `bytes` until they are used up or the connection leaves its stage.
  func readFrames(_ id: SlabID, _ bytes: UnsafeMutableRawBufferPointer, _ cursor: inout Int) {
    while connections.contains(id) {
      switch connections[id.index].reader.next(in: bytes, from: &cursor) {
      case .needMore: return
      case .message(let kind, _, let payload): receive(id, kind, payload, bytes)
      case .ping(let payload): answerPing(id, payload, bytes)
      case .pong: break
      case .close(let code, _): acceptClose(id, code)
      case .failed(let code, let reason): fail(id.index, code, reason)
      }
    }
  }

  private func receive(
    _ id: SlabID, _ kind: MessageKind, _ payload: MessageReader.Payload, _ bytes: UnsafeMutableRawBufferPointer
  ) {
    switch connections[id.index].stage {
    case .websocket:
      guard let session = connections[id.index].session else { return }
      payload.withSpan(in: bytes) { span in
        if kind == .text {
          hub.receive(text: span, from: session)
        } else {
          hub.receive(binary: span, from: session)
        }
      }
    case .echo:
      payload.withSpan(in: bytes) { span in
        append(to: id.index) { FrameWriter.appendFrame(kind.opcode, payload: span, to: &$0) }
      }
      if connections[id.index].outbox.byteCount > ConnectionTable.readBytesBeforeFlush { flush(id.index) }
    case .request, .answering, .closing, .finishing, .lingering: break
    }
  }

  /// Echoes are written early, so that a large burst does not pile up.
  private static var readBytesBeforeFlush: Int { 256 * 1024 }

  /// RFC 6455 section 5.5.3: a pong carries the ping's payload.
  private func answerPing(_ id: SlabID, _ payload: MessageReader.Payload, _ bytes: UnsafeMutableRawBufferPointer) {
    guard connections[id.index].stage != .closing else { return }
    payload.withSpan(in: bytes) { span in
      append(to: id.index) { FrameWriter.appendFrame(.pong, payload: span, to: &$0) }
    }
    limitQueue(id.index)
  }

  /// RFC 6455 section 5.5.1: whoever gets a close frame first sends one back; the server then closes the connection.
  private func acceptClose(_ id: SlabID, _ code: CloseCode?) {
    if connections[id.index].stage != .closing {
      append(to: id.index) { FrameWriter.appendClose(code, reason: [UInt8]().span, to: &$0) }
      endSession(id.index)
    }
    finish(id.index)
  }

  /// RFC 6455 section 7.1.7: says why, then ends without waiting for an answer that could not be understood.
  private func fail(_ index: UInt32, _ code: CloseCode, _ reason: StaticString) {
    metrics.protocolErrors += 1
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
    guard let session = connections[index].session else { return }
    connections[index].session = nil
    ending.append(session)
  }

  /// Past the limit a reader is too slow: what it has not read yet it can ask for when it comes back.
  func limitQueue(_ index: UInt32) {
    guard connections[index].outbox.byteCount > limits.queueBytesMax, connections[index].stage == .websocket else {
      return
    }
    metrics.slowConsumers += 1
    connections[index].outbox.dropUnsent()
    close(index, code: CloseCode.slowConsumer.rawValue, reason: "slow consumer: reconnect and resume")
  }
}
