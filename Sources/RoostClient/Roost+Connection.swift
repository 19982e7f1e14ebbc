import ClientProtocol

// The connection: opened, watched, lost, opened again.

extension Roost {
  /// Connects with the first use.
  func use() {
    guard isFresh else { return }
    isFresh = false
    open()
  }

  func open() {
    generation += 1
    let mine = generation
    set(.connecting)
    Task { await self.connect(mine) }
  }

  private func connect(_ mine: UInt64) async {
    if let ask = options.token {
      let outcome: Result<String, any Error>
      do { outcome = .success(try await ask()) } catch { outcome = .failure(error) }
      guard mine == generation else { return }
      switch outcome {
      case .success(let fresh): token = fresh
      case .failure(let error): return lost(code: 1006, reason: "there is no token: \(error)")
      }
    }
    guard mine == generation, link == nil else { return }
    let link = makeLink()
    self.link = link
    hasHeard = false
    openedAt = nil
    after(.seconds(ClientLimits.welcomeSeconds), mine) { roost in
      if roost.openedAt == nil { roost.failed(.broken("no welcome within \(ClientLimits.welcomeSeconds) s")) }
    }
    Task { [weak self] in
      let end = await link.run { [weak self] event in await self?.take(event, mine) }
      await self?.ended(end, mine)
    }
  }

  private var identity: Identity { Identity(user: options.user ?? welcome?.user, token: token) }

  private func makeLink() -> any Link {
    let source: Identity.Source = { [weak self] in await self?.identity ?? Identity() }
    switch choice.current {
    case .webSocket: return WebSocketLink(transport, identity)
    case .eventStream: return EventStreamLink(transport, identity, source)
    case .poll: return PollLink(transport, source)
    }
  }

  /// Runs something later, unless the connection is another one then.
  func after(_ duration: Duration, _ mine: UInt64, _ action: @escaping @Sendable (isolated Roost) -> Void) {
    Task { [weak self] in
      try? await Task.sleep(for: duration)
      await self?.run(mine, action)
    }
  }

  private func run(_ mine: UInt64, _ action: @Sendable (isolated Roost) -> Void) {
    if mine == generation { action(self) }
  }

  private func ended(_ end: WireEnd, _ mine: UInt64) {
    guard mine == generation else { return }
    guard openedAt != nil else { return failed(end) }
    lost(code: end.code, reason: end.reason)
  }

  /// The connection ended before the welcome.
  private func failed(_ end: WireEnd) {
    switch choice.failed(end) {
    case .otherTransport: lost(code: 1006, reason: end.reason, atOnce: true)
    case .sameLater: lost(code: end.code, reason: end.reason)
    case .firstLater: lost(code: 1006, reason: end.reason)
    case .never(let code):
      drop()
      finish(code: code, reason: end.reason)
    }
  }

  /// Lets go of the connection without waiting for an end that a dead network never brings.
  func drop() {
    generation += 1
    link?.close()
    link = nil
  }

  /// The connection is lost, or of no use any more.
  func lost(code: UInt16, reason: String, atOnce: Bool = false) {
    drop()
    for room in rooms.values { (room.isJoined, room.isEntering) = (false, false) }
    for call in calls.connectionLost() {
      call.settle(
        self, .failure(ClientError(.disconnected, "the connection was lost before the answer came: \(reason)")))
    }
    guard CloseReason.reconnect(after: code) != .never else { return finish(code: code, reason: reason) }
    if atOnce { return open() }
    if let openedAt, .now - openedAt > .seconds(ClientLimits.stableSeconds) { backoff.reset() }
    openedAt = nil
    let extra = CloseReason.reconnect(after: code) == .later ? ClientLimits.rateLimitedMilliseconds : 0
    let wait = backoff.next(using: &random) + extra
    set(.waiting(milliseconds: wait, code: code, reason: reason))
    after(.milliseconds(wait), generation) { $0.open() }
  }

  /// There is no connection any more, and none will be tried.
  func finish(code: UInt16, reason: String) {
    let closed = ClientError(.closed, reason.isEmpty ? "closed with \(code)" : reason)
    backoff.reset()
    openedAt = nil
    let (left, waiting) = (rooms, calls.takeAll())
    (rooms, wildcardCount) = ([:], 0)
    set(.closed(code: code, reason: reason))
    for room in left.values { room.end(code == 1000 ? nil : closed, waiters: closed) }
    for call in waiting { call.settle(self, .failure(closed)) }
    if code == 1000 { eventReaders.finish(nil) }
  }

  /// The welcome has come.
  func opened(_ said: Welcome) {
    welcome = said
    openedAt = .now
    choice.worked()
    set(.open)
    eventReaders.give(.welcome(said))
    watch(.milliseconds(max(1_000, said.pingInterval)), generation, pinged: false)
    for room in rooms.values { enter(room) }
    flush()
  }

  /// After a silent interval it asks whether the server is there, and gives up when nothing answers.
  private func watch(_ wait: Duration, _ mine: UInt64, pinged: Bool) {
    hasHeard = false
    if pinged, link?.answersPings == true { call(.ping, room: nil, settle: { _, _ in }, { _ in }) }
    after(wait, mine) { roost in
      if roost.hasHeard {
        roost.watch(.milliseconds(max(1_000, roost.welcome?.pingInterval ?? 25_000)), mine, pinged: false)
      } else if pinged {
        roost.lost(code: 1006, reason: "the server is silent")
      } else {
        roost.watch(.seconds(ClientLimits.pongSeconds), mine, pinged: true)
      }
    }
  }

  /// Gets another token, since this one expires soon.
  func renewToken() {
    guard let ask = options.token else { return }
    let mine = generation
    Task { [weak self] in
      do {
        let fresh = try await ask()
        await self?.replaceToken(fresh, mine)
      } catch {
        await self?.report(ClientError(.unauthenticated, "there is no other token: \(error)"))
      }
    }
  }

  private func replaceToken(_ fresh: String, _ mine: UInt64) {
    guard mine == generation else { return }
    token = fresh
    call(
      .auth, room: nil,
      settle: { roost, result in if case .failure(let error) = result { roost.report(error) } },
      { writer in
        writer.key("token")
        writer.string(fresh)
      })
  }

  /// Tells of an error that no call waits for.
  func report(_ error: ClientError, room: String? = nil) { eventReaders.give(.error(error, room: room)) }

  func set(_ new: ClientState) {
    state = new
    eventReaders.give(.state(new))
  }
}
