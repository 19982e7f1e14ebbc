import ClientProtocol
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
    observers.report(
      .sessions, .connected(connection: name, transport: arriving.transport, address: arriving.address))
    let verdict = recognize(id, arriving)
    answer(
      id,
      .welcome(
        connection: name, node: configuration.nodeID, user: sessions[id.index].user?.name,
        pingIntervalMilliseconds: configuration.pingIntervalMilliseconds))
    if isDegraded { answer(id, .degraded) }
    if let verdict { conclude(id, verdict, answerID: nil) } else { announceExpiry(of: id) }
    return id
  }

  /// Ends a session: it leaves its rooms, and nothing is sent to it any more. Idempotent.
  public func close(_ id: SlabID) {
    guard sessions.contains(id) else { return }
    observers.report(
      .sessions, .disconnected(connection: connectionName(id), user: sessions[id.index].user?.name))
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
    answer(id, .reconnect(afterMilliseconds: milliseconds))
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
    observers.report(.sessions, .identified(connection: connectionName(id), user: name))
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

  /// Sends one event to a session, if it is still there.
  ///
  /// - Parameter answerID: the `id` of the operation that it answers, with its quotes; nil: it had none, or nobody asked.
  /// - Returns: the bytes of its JSON.
  @discardableResult
  func answer(_ id: SlabID, _ event: ServerEvent, id answerID: [UInt8]? = nil) -> Int {
    guard sessions.contains(id) else { return 0 }
    var text: [UInt8] = []
    swap(&text, &scratch)
    text.removeAll(keepingCapacity: true)
    event.appendJSON(id: answerID, to: &text)
    transport(of: id.index)?.answer(
      text.span, event.kind, at: event.position, to: sessions[id.index].target)
    let byteCount = text.count
    swap(&text, &scratch)
    return byteCount
  }

  /// Sends an `error` to a session.
  func refuse(_ id: SlabID, _ code: ErrorCode, _ message: String, _ answerID: [UInt8]?) {
    answer(id, .error(code, message), id: answerID)
  }

  /// Sends one event to every session, encoded once.
  func sendToEverySession(_ event: ServerEvent) {
    var targets = TargetsByFormat()
    for index in 0..<sessions.end where sessions.isOccupied(index) {
      targets[sessions[index].form].append(sessions[index].target)
    }
    send(event, toEach: targets)
  }

  /// Sends one event to all members of rosters, encoded once.
  func send(_ event: ServerEvent, toEach rosters: Rosters) {
    var targets = TargetsByFormat()
    for form in DeliveryForm.allCases { targets[form] = rosters[form: form].map(\.target) }
    send(event, toEach: targets)
  }

  private func send(_ event: ServerEvent, toEach targets: TargetsByFormat) {
    var text: [UInt8] = []
    event.appendJSON(to: &text)
    for form in DeliveryForm.allCases where !targets[form].isEmpty {
      transports[form]?.send(text.span, event.kind, toEach: targets[form])
    }
  }

  /// Closes a session's connection after what it was given. The session's end comes back as ``close(_:)``.
  func close(_ id: SlabID, because reason: CloseReason) {
    transport(of: id.index)?.close(sessions[id.index].target, because: reason)
  }

  /// The transport that holds a session's connection.
  func transport(of session: UInt32) -> (any Delivery)? { transports[sessions[session].form] }
}
