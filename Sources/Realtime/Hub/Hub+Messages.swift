import JSONCore

// What clients say: to a room, to a user, to everyone.

extension Hub {
  func publish(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID) {
    counters.messagesReceived += 1
    let answerID = copyID(operation, text)
    var found: Room?
    withRoom(operation, text) { found = rooms.find($0) }
    guard let room = found, let index = joinedIndex(id, room), let user = sessions[id.index].user else {
      return withRoom(operation, text) { refuseUnjoined(id, $0, answerID) }
    }
    guard sessions[id.index].subscriptions[index].mayPublish else {
      return refuse(id, .forbidden, Hub.publishForbidden, answerID)
    }
    guard room.rule.mayPublish else { return refuse(id, .forbidden, Hub.readOnlyRoom, answerID) }
    guard chargePublish(in: room, id, answerID) else { return }
    if operation.isEphemeral { return publish(ephemeral: operation, text, of: user, in: room, from: id, answerID) }
    var envelope: [UInt8] = []
    envelope.reserveCapacity(operation.passThrough.byteCount + 96)
    // Without an origin nobody is left out, so the sender hears it too.
    beginEnvelope(.message, of: user, from: operation.echo ? nil : id, into: &envelope)
    operation.passThrough.appendMembers(of: text, to: &envelope)
    let message = RoomMessage(
      room: room.name, envelope: envelope, dedupe: Hub.dedupeKey(user: user.name, id: operation.decodedID(in: text)),
      retention: room.rule.retention)
    let size = message.envelope.count
    reads.seal(room: room.name)
    // What it publishes comes back to it: who does not read it is read no further.
    if operation.echo { pauseUntilRoom(id) }
    operationBegins(id, bytes: size)
    broker.publish(message) { [weak self] result in
      self?.operationEnds(id, bytes: size)
      if case .success(let position) = result { room.note(acknowledged: position) }
      self?.acknowledge(result, to: id, room.nameJSON, answerID)
    }
  }

  /// Sends what is for those who are in the room now, and for nobody later.
  private func publish(
    ephemeral operation: ClientOperation, _ text: Span<UInt8>, of user: LocalUser, in room: Room, from id: SlabID,
    _ answerID: [UInt8]?
  ) {
    var envelope: [UInt8] = []
    beginEnvelope(.ephemeral, of: user, from: operation.echo ? nil : id, into: &envelope)
    operation.passThrough.appendMembers(of: text, to: &envelope)
    let size = envelope.count
    if operation.echo { pauseUntilRoom(id) }
    operationBegins(id, bytes: size)
    broker.publish(ephemeral: envelope, in: room.name) { [weak self] result in
      self?.operationEnds(id, bytes: size)
      if case .failure(let error) = result {
        self?.refuse(id, failure: error, Hub.outOfReach(error, hasDedupe: false), answerID)
      } else if let answerID {
        self?.acknowledge(id, room, answerID)
      }
    }
  }

  /// Delivers it to the members in the order of the room's channel.
  func deliver(ephemeral bytes: Span<UInt8>, in room: Room) {
    guard let envelope = Envelope(bytes) else { return }
    let origin = envelope.origin.count > 1 ? localSession(named: bytes.extracting(envelope.origin)) : nil
    appendNotice(to: room, except: origin, isEphemeral: true) {
      Push.ephemeral(envelope, in: bytes, room: room, to: &$0)
    }
  }

  /// Acknowledges what has no position.
  func acknowledge(_ id: SlabID, _ room: Room, _ answerID: [UInt8]) {
    answer(id) { output in
      Answer.begin("ack", id: answerID, to: &output)
      output.append(",\"room\":")
      output.append(contentsOf: room.nameJSON)
      output.append(UInt8(ascii: "}"))
    }
  }

  /// Writes the line of facts of what a user says, by a session or, to be heard by that too, by none.
  func beginEnvelope(_ kind: Envelope.Kind, of user: LocalUser, from id: SlabID?, into output: inout [UInt8]) {
    Envelope.begin(
      kind, timestamp: clock(), into: &output,
      origin: { if let id { appendConnectionName(id, to: &$0) } else { $0.append(Envelope.noOrigin) } },
      user: { user.appendNameJSON(to: &$0) })
  }

  /// What makes a retry recognisable: the user's name with its length, so that no two pairs look alike, and the id.
  static func dedupeKey(user: [UInt8], id: [UInt8]?) -> [UInt8]? {
    guard let id else { return nil }
    var key: [UInt8] = []
    key.reserveCapacity(user.count + id.count + 5)
    JSONNumber.append(UInt64(user.count), to: &key)
    key.append(UInt8(ascii: ":"))
    key.append(contentsOf: user)
    key.append(UInt8(ascii: ":"))
    key.append(contentsOf: id)
    return key
  }

  private func acknowledge(
    _ result: Result<Position, BrokerError>, to id: SlabID, _ roomJSON: [UInt8], _ answerID: [UInt8]?
  ) {
    let position: Position
    switch result {
    case .success(let acknowledged): position = acknowledged
    case .failure(let error):
      return refuse(id, failure: error, Hub.outOfReach(error, hasDedupe: answerID != nil), answerID)
    }
    guard let answerID else { return }
    answer(id) { output in
      Answer.begin("ack", id: answerID, to: &output)
      output.append(",\"room\":")
      output.append(contentsOf: roomJSON)
      Answer.append(position, to: &output)
      output.append(UInt8(ascii: "}"))
    }
  }

  func direct(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID) {
    let answerID = copyID(operation, text)
    guard let name = operation.to?.decoded(in: text) else {
      return refuse(id, .badRequest, "direct needs to, the name of a user", answerID)
    }
    guard (1...Limits.userNameBytesMax).contains(name.count) else {
      return refuse(id, .badRequest, "to is the name of a user: 1 to \(Limits.userNameBytesMax) bytes", answerID)
    }
    guard mayDirect(id, to: name, answerID), let envelope = personal(.direct, operation, text, from: id) else { return }
    operationBegins(id, bytes: envelope.count)
    broker.send(envelope, to: .user(name)) { [weak self] result in
      self?.operationEnds(id, bytes: envelope.count)
      let count: Int
      switch result {
      case .success(let sent): count = sent
      case .failure(let error):
        self?.refuse(id, failure: error, Hub.outOfReach(error, hasDedupe: false), answerID)
        return
      }
      guard let answerID else { return }
      self?.answer(id) { output in
        Answer.begin("ack", id: answerID, to: &output)
        output.append(",\"delivered\":")
        JSONNumber.append(UInt64(count), to: &output)
        output.append(UInt8(ascii: "}"))
      }
    }
  }

  func broadcast(_ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID) {
    let answerID = copyID(operation, text)
    guard mayBroadcast(id.index) else { return refuse(id, .forbidden, Hub.broadcastForbidden, answerID) }
    guard let envelope = personal(.broadcast, operation, text, from: id) else { return }
    operationBegins(id, bytes: envelope.count)
    broker.send(envelope, to: .everyone) { [weak self] result in
      self?.operationEnds(id, bytes: envelope.count)
      if case .failure(let error) = result {
        self?.refuse(id, failure: error, Hub.outOfReach(error, hasDedupe: false), answerID)
        return
      }
      guard let answerID else { return }
      self?.answer(id) { output in
        Answer.begin("ack", id: answerID, to: &output)
        output.append(UInt8(ascii: "}"))
      }
    }
  }

  private func personal(
    _ kind: Envelope.Kind, _ operation: ClientOperation, _ text: Span<UInt8>, from id: SlabID
  ) -> [UInt8]? {
    guard let user = sessions[id.index].user else { return nil }
    counters.messagesReceived += 1
    var envelope: [UInt8] = []
    envelope.reserveCapacity(operation.passThrough.byteCount + 96)
    beginEnvelope(kind, of: user, from: id, into: &envelope)
    operation.passThrough.appendMembers(of: text, to: &envelope)
    return envelope
  }
}
