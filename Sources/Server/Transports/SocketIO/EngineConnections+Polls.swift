import JSONCore
import LoopCore
import Realtime
import SocketIOCore

// What polling requests bring, whichever node they reached, and their answers.

extension EngineConnections {
  /// Answers a poll with what waits, or as soon as something comes.
  ///
  /// - Parameters:
  ///   - connection: on which it came to this node.
  ///   - isForwarded: whether it came to another node, which passes it on.
  ///   - tag: what tells the request from others; empty: nothing.
  ///   - isHurried: whether it only ends the poll that waits, of a node that drains.
  func poll(
    _ sid: [UInt8], on connection: SlabID?, isForwarded: Bool = false, tag: [UInt8] = [], isHurried: Bool = false,
    _ reply: @escaping EnginePolling.Reply
  ) {
    guard let engine = store.find(sid) else { return reply(EngineError.unknownSession.answer) }
    guard let polling = store[engine.index].polling else { return reply(EngineError.badRequest.answer) }
    // A poll of another node may have ended there, with its connection or with the node.
    if polling.isForwarded, let waiter = polling.waiter {
      polling.waiter = nil
      waiter(ConnectionAnswer(status: 200, [EnginePacketType.noop.digit]))
    }
    if isHurried { return reply(ConnectionAnswer(status: 200, [EnginePacketType.noop.digit])) }
    if let given = polling.given {
      if given.tag == tag { return reply(given.answer) }
      polling.given = nil
    }
    guard polling.waiter == nil else {
      // Which of two polls has what would be anybody's guess.
      metrics.protocolErrors += 1
      end(engine.index, answering: ConnectionAnswer(status: 200, [EnginePacketType.close.digit]))
      return reply(EngineError.badRequest.answer)
    }
    polling.waiter = reply
    polling.waiterConnection = connection
    polling.isForwarded = isForwarded
    polling.waiterTag = tag
    if let connection, connections.contains(connection) { connections[connection.index].exchange?.engine = engine }
    if !polling.queue.isEmpty || polling.upgrade?.isProbed == true { markDirty(engine.index) }
  }

  /// Answers the poll that waits, if there is something for it.
  func answerPoll(_ index: UInt32) {
    guard let polling = store[index].polling, let waiter = polling.waiter else { return }
    if polling.queue.isEmpty {
      guard polling.upgrade?.isProbed == true else { return }
      polling.waiter = nil
      return waiter(ConnectionAnswer(status: 200, [EnginePacketType.noop.digit]))
    }
    polling.waiter = nil
    let payload = polling.queue.take(bytesMax: EngineLimits.answerBytesMax)
    if store[index].isClosing {
      if polling.queue.isEmpty { remove(index) }
    } else {
      reportSpace(index, polling)
    }
    let answer = ConnectionAnswer(status: 200, payload)
    // A node that passes it on may end before it has: a proxy then asks another one for the same.
    if polling.isForwarded, !polling.waiterTag.isEmpty { polling.given = (polling.waiterTag, answer) }
    waiter(answer)
  }

  /// Reports to the hub what a queue that was just emptied lets it do.
  private func reportSpace(_ index: UInt32, _ polling: EnginePolling) {
    if polling.isUnwritable, polling.queue.isEmpty {
      polling.isUnwritable = false
      messages?.forEachSession(of: index) { queues.hub.becameWritable($0) }
    }
    if polling.hasRefusedOffers, polling.queue.unsolicitedBytes <= queueBytesMax / 4 {
      polling.hasRefusedOffers = false
      messages?.forEachSession(of: index) { queues.hub.canTakeMore($0) }
    }
    guard polling.queue.byteCount < EngineLimits.roomBytes else { return }
    if polling.awaitsRoom {
      polling.awaitsRoom = false
      messages?.forEachSession(of: index) { queues.hub.hasRoom($0) }
    }
    if polling.isFull {
      polling.isFull = false
      resumePost(index)
    }
  }

  /// Takes the packets of a request, and answers it when all are taken.
  func post(_ sid: [UInt8], _ body: [UInt8], _ reply: @escaping EnginePolling.Reply) {
    guard let engine = store.find(sid) else { return reply(EngineError.unknownSession.answer) }
    guard let polling = store[engine.index].polling, !store[engine.index].isClosing else {
      return reply(EngineError.badRequest.answer)
    }
    guard polling.post == nil else {
      metrics.protocolErrors += 1
      end(engine.index, answering: EngineError.badRequest.answer)
      return reply(EngineError.badRequest.answer)
    }
    guard body.count <= limits.payloadBytesMax else {
      metrics.protocolErrors += 1
      end(engine.index, answering: ConnectionAnswer(status: 200, [EnginePacketType.close.digit]))
      return reply(ConnectionAnswer(.tooLarge, "a payload may have \(limits.payloadBytesMax) bytes (maxPayload)"))
    }
    polling.post = EnginePolling.Post(body: body, reply: reply)
    guard JSONScanner.isValidUTF8(body.span) else { return fail(engine.index, PacketFault.invalidUTF8.text) }
    takePackets(engine)
  }

  /// Whether nothing is taken of a connection's requests for now.
  private func isPaused(_ engine: SlabID) -> Bool {
    store[engine.index].pauseCount > 0 || store[engine.index].polling?.isFull == true
  }

  /// Takes the packets of the request at hand until they are used up or the connection is paused.
  func takePackets(_ engine: SlabID) {
    while store.contains(engine), let polling = store[engine.index].polling, let post = polling.post,
      !isPaused(engine)
    {
      guard post.position <= post.body.count else {
        polling.post = nil
        return post.reply(ConnectionAnswer(status: 200, Array("ok".utf8)))
      }
      let rest = post.body[post.position...]
      let end = rest.firstIndex(of: EnginePayloadReader.separator) ?? post.body.count
      polling.post?.position = end + 1
      take(post.body.span.extracting(post.position..<end), engine)
    }
  }

  private func take(_ text: Span<UInt8>, _ engine: SlabID) {
    let packet: EnginePacket
    do throws(PacketFault) { packet = try EnginePacket(parsing: text) } catch { return fail(engine.index, error.text) }
    guard packet.isBase64 else { return take(packet, text, engine) }
    guard let bytes = Base64.decode(text.extracting(packet.data)) else {
      return fail(engine.index, PacketFault.invalidBase64.text)
    }
    receive(binary: bytes.span, for: engine)
  }
}
