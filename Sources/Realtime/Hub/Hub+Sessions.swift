import JSONCore

// Sessions: how they begin, who they are, how they end.

/// What a connection brings to its session.
public struct Arriving {
  /// The connection, in the numbering of `Delivery`.
  public var target: UInt32
  public var form: DeliveryForm
  public var transport: Transport
  /// The client's numeric address.
  public var address: [UInt8]
  /// The user, when it is known without a token.
  public var user: [UInt8]?
  /// What a token that was judged already says, or nil.
  public var identity: Identity?
  /// A token that came with the connection and is still to be judged, or nil.
  public var token: [UInt8]?
  /// Whether the address is loopback or private, which limits that were not set spare.
  public var isLocal: Bool

  public init(
    target: UInt32, form: DeliveryForm, transport: Transport, address: [UInt8], user: [UInt8]? = nil,
    identity: Identity? = nil, token: [UInt8]? = nil, isLocal: Bool = false
  ) {
    self.target = target
    self.form = form
    self.transport = transport
    self.address = address
    self.user = user
    self.identity = identity
    self.token = token
    self.isLocal = isLocal
  }
}

extension Hub {
  /// Opens a session and greets it with `welcome`.
  public func open(_ arriving: Arriving) -> SlabID {
    let now = clock()
    let session = Session(
      target: arriving.target, form: arriving.form, transport: arriving.transport, address: arriving.address,
      since: now, isLocal: arriving.isLocal)
    let id = sessions.insert(session)
    newest = id
    let name = connectionName(id)
    trace?(.connected(connection: name, transport: arriving.transport, address: arriving.address))
    let verdict = recognize(id, arriving)
    let node = configuration.nodeID
    answer(id) { output in
      Answer.begin("welcome", id: nil, to: &output)
      output.append(",\"connection\":")
      JSONString.append(name.span, to: &output)
      output.append(",\"node\":")
      JSONString.append(node.span, to: &output)
      output.append(",\"user\":")
      if let user = sessions[id.index].user {
        user.appendNameJSON(to: &output)
      } else {
        output.append("null")
      }
      output.append(",\"pingInterval\":")
      JSONNumber.append(UInt64(configuration.pingIntervalMilliseconds), to: &output)
      output.append(UInt8(ascii: "}"))
    }
    if isDegraded { answer(id) { Push.plain("degraded", to: &$0) } }
    if let verdict { conclude(id, verdict, answerID: nil) } else { announceExpiry(of: id) }
    return id
  }

  /// Ends a session: it leaves its rooms, and nothing is sent to it any more. Idempotent.
  public func close(_ id: SlabID) {
    guard sessions.contains(id) else { return }
    forgetPostponed(id)
    paused.remove(id)
    authenticating.forget(id)
    _ = droppedMessages.take(id)
    keepAllowance(of: id)
    reads.forget(.session(id))
    forgetDeadline(of: id)
    var subscriptions: [Session.Subscription] = []
    swap(&subscriptions, &sessions[id.index].subscriptions)
    for subscription in subscriptions { depart(id.index, from: subscription, staysPresent: isHandingOver) }
    if !wildcards.isEmpty { leaveWildcards(id.index) }
    if let member = member(id.index), let user = sessions[id.index].user {
      user.sessions.remove(id.index)
      if user.sessions.isEmpty {
        users.remove(user.name)
        broker.unsubscribe(user: user.name)
      }
      if isHandingOver { handedOver += 1 } else { broker.disconnect(member) }
    }
    sessions.remove(id.index)
  }

  /// Tells a client when to come back, because this node is about to close its connection.
  public func announceReconnect(_ id: SlabID, afterMilliseconds milliseconds: Int) {
    answer(id) { output in
      Answer.begin("reconnect", id: nil, to: &output)
      output.append(",\"after\":")
      JSONNumber.append(UInt64(max(0, milliseconds)), to: &output)
      output.append(UInt8(ascii: "}"))
    }
  }

  func identify(_ id: SlabID, as name: [UInt8]) {
    let user: LocalUser
    if let known = users.find(name.span) {
      guard admits(id, as: known) else { return }
      user = known
    } else {
      user = LocalUser(name: name)
      users.insert(user)
      broker.subscribe(user: name)
    }
    user.sessions.append(id.index)
    sessions[id.index].user = user
    trace?(.identified(connection: connectionName(id), user: name))
    if let member = member(id.index) { broker.connect(member) }
  }

  /// The session as presence knows it, or nil while it is not authenticated.
  /// `since`: when it joined the room that it is a member of; nil for the session itself.
  func member(_ index: UInt32, since: UInt64? = nil) -> Member? {
    guard let user = sessions[index].user else { return nil }
    return Member(
      name: connectionName(sessions.id(at: index)), node: configuration.nodeID, user: user.name,
      transport: sessions[index].transport, address: sessions[index].address, since: since ?? sessions[index].since,
      info: sessions[index].identity?.info)
  }

  // MARK: Connection names: the node's id, a dash, the session's number

  func connectionName(_ id: SlabID) -> [UInt8] {
    // Of exactly that size: the broker keeps one for each connection.
    var name: [UInt8] = []
    name.reserveCapacity(configuration.nodeID.count + 1 + SessionNumber.digits(of: id.word))
    appendConnectionName(id, to: &name)
    return name
  }

  func appendConnectionName(_ id: SlabID, to output: inout [UInt8]) {
    output.append(contentsOf: configuration.nodeID)
    output.append(UInt8(ascii: "-"))
    SessionNumber.append(id.word, to: &output)
  }

  /// The session of this node that has that name, or nil.
  func localSession(named name: Span<UInt8>) -> SlabID? {
    let node = configuration.nodeID
    guard name.count > node.count + 1, name[node.count] == UInt8(ascii: "-") else { return nil }
    for i in 0..<node.count where name[i] != node[i] { return nil }
    guard let number = SessionNumber.parse(name.extracting((node.count + 1)..<name.count)) else { return nil }
    let id = SlabID(word: number)
    return sessions.contains(id) ? id : nil
  }

  // MARK: Answers

  /// Sends one text to a session, if it is still there.
  func answer(_ id: SlabID, _ write: (inout [UInt8]) -> Void) {
    guard sessions.contains(id) else { return }
    var text: [UInt8] = []
    swap(&text, &scratch)
    text.removeAll(keepingCapacity: true)
    write(&text)
    delivery?.answer(text.span, .text, to: sessions[id.index].target)
    swap(&text, &scratch)
  }

  /// Sends an `error` to a session.
  func refuse(_ id: SlabID, _ code: ErrorCode, _ message: String, _ answerID: [UInt8]?) {
    answer(id) { output in
      Answer.begin("error", id: answerID, to: &output)
      output.append(",\"code\":\"")
      output.append(code.wireName)
      output.append("\",\"message\":")
      JSONString.append(Array(message.utf8).span, to: &output)
      output.append(UInt8(ascii: "}"))
    }
  }

  func sendToEverySession(except origin: SlabID? = nil, _ write: (inout [UInt8]) -> Void) {
    var text: [UInt8] = []
    write(&text)
    var targets: [UInt32] = []
    targets.reserveCapacity(sessions.count)
    for index in 0..<sessions.end where sessions.isOccupied(index) && index != origin?.index {
      targets.append(sessions[index].target)
    }
    delivery?.send(text.span, .text, toEach: targets)
  }
}
