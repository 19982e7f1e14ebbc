import LoopCore
import Realtime
import SocketIOCore
import WebSocketCore

// What WebSockets bring that carry Engine.IO, those included that are about to.

extension EngineConnections {
  func receive(text: Span<UInt8>, on connection: SlabID) {
    guard let engine = connections[connection.index].engine, store.contains(engine) else { return }
    guard store[engine.index].webSocket == connection.index else { return probe(engine, text) }
    let packet: EnginePacket
    do throws(PacketFault) { packet = try EnginePacket(parsing: text) } catch { return fail(engine.index, error.text) }
    // Base64 is for polls.
    guard !packet.isBase64 else { return fail(engine.index, PacketFault.unknownEngineType.text) }
    take(packet, text, engine)
  }

  func receive(binary: Span<UInt8>, on connection: SlabID) {
    guard let engine = connections[connection.index].engine, store.contains(engine),
      store[engine.index].webSocket == connection.index
    else { return }
    receive(binary: binary, for: engine)
  }

  /// Takes one packet. The connection may be gone when this returns.
  func take(_ packet: EnginePacket, _ text: Span<UInt8>, _ engine: SlabID) {
    switch packet.type {
    case .message:
      let data = text.extracting(packet.data)
      guard store[engine.index].purpose == .echo else { messages?.receive(text: data, on: engine); return }
      var packets = EncodedPackets()
      packets.addText { output in
        output.append(EnginePacketType.message.digit)
        output.append(copying: data)
      }
      send(packets, to: engine.index, isSolicited: true)
    case .pong: notePong(engine.index)
    case .close: closeByClient(engine.index)
    // What only a server sends.
    case .open, .ping: fail(engine.index, "a client sends no such packet: pings are the server's")
    case .upgrade, .noop: break
    }
  }

  func receive(binary: Span<UInt8>, for engine: SlabID) {
    guard store[engine.index].purpose == .echo else { messages?.receive(binary: binary, on: engine); return }
    var packets = EncodedPackets()
    packets.addBinary(binary)
    send(packets, to: engine.index, isSolicited: true)
  }

  private func closeByClient(_ index: UInt32) {
    guard let webSocket = store[index].webSocket else {
      // The request that brought it is answered by itself.
      let post = store[index].polling?.post
      store[index].polling?.post = nil
      end(index, answering: ConnectionAnswer(status: 200, [EnginePacketType.noop.digit]))
      post?.reply(ConnectionAnswer(status: 200, Array("ok".utf8)))
      return
    }
    sessions.traceEnd(webSocket, "closed by the client", nil)
    webSockets.closeNormally(webSocket)
  }

  // MARK: Upgrading

  /// Takes what comes on a WebSocket that is to take over from polls.
  private func probe(_ engine: SlabID, _ text: Span<UInt8>) {
    guard let polling = store[engine.index].polling, let upgrade = polling.upgrade else { return }
    if text.isText("2probe") {
      polling.upgrade?.isProbed = true
      queues.append(to: upgrade.webSocket) { FrameWriter.appendFrame(.text, payload: Self.probeAnswer.span, to: &$0) }
      // The client ends its polls before it goes on.
      markDirty(engine.index)
    } else if text.isText("5"), upgrade.isProbed {
      complete(upgrade, of: engine.index, polling)
    } else {
      metrics.protocolErrors += 1
      webSockets.fail(upgrade.webSocket, .protocolError, "a probe is expected: 2probe, then 5")
    }
  }

  private static let probeAnswer = Array("3probe".utf8)

  /// Sends by the WebSocket from now on, what waits for a poll first.
  private func complete(_ upgrade: EnginePolling.Upgrade, of index: UInt32, _ polling: EnginePolling) {
    timers.clear(.upgrade, of: index)
    let webSocket = upgrade.webSocket
    polling.upgrade = nil
    // Its client has ended its polls; one that waits all the same gets nothing.
    let waiter = polling.waiter
    polling.waiter = nil
    waiter?(ConnectionAnswer(status: 200, [EnginePacketType.noop.digit]))
    store[index].webSocket = webSocket
    releasePolling(index)
    while !polling.queue.isEmpty {
      let solicited = polling.queue.unsolicitedBytes == 0
      let payload = polling.queue.take(bytesMax: EngineLimits.answerBytesMax)
      push(payload: payload, to: index, isSolicited: solicited)
    }
    connections[webSocket].awaitsRoom = polling.awaitsRoom
    connections[webSocket].hasRefusedOffers = polling.hasRefusedOffers
    connections[webSocket].isUnwritable = polling.isUnwritable
    if store[index].pauseCount > 0 { input.pause(webSocket, .broker) }
    messages?.upgraded(index)
  }
}

extension Span<UInt8> {
  /// Whether the bytes are a literal's.
  func isText(_ literal: StaticString) -> Bool {
    guard count == literal.utf8CodeUnitCount else { return false }
    // Safe because both have `count` bytes.
    for index in indices where self[index] != literal.utf8Start[index] { return false }
    return true
  }
}
