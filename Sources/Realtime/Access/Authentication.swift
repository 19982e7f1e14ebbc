import ClientProtocol
import JSONCore

/// Who a session is: tokens are judged, identities admitted, replaced and ended.
/// Confined to the loop that created its hub.
final class Authentication {
  private let context: HubContext
  private let pending: PendingOperations
  private let limiters: RateLimiters
  private let revocations: Revocations
  /// Judges tokens, at once or later. Nil: no tokens are asked for, names are believed.
  var judgeToken: ((_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) -> Void)?
  /// Called when a session has an identity, or a newer one of the same user. Set before the first session.
  var identityChanged: (SlabID) -> Void = { _ in }
  /// Sessions whose token is being judged.
  private var authenticating = PendingAuthentications()
  /// Those that came without a user, in the order in which their time is up.
  private var awaitingToken: [(deadline: UInt64, session: SlabID)] = []
  /// The moments at which tokens expire.
  private var deadlines = Deadlines()
  /// Decides who may connect, at once or later. Nil: who has a good token, or a name that is believed.
  var decideConnect: ((ConnectQuestion, @escaping (ConnectDecision) -> Void) -> Void)?
  /// What came with sessions on which it is not decided yet whether they may connect.
  private var arrivals: [SlabID: Arrival] = [:]
  /// What was decided about sessions, where tokens that come later are held to it.
  private var grants: [SlabID: ConnectGrant] = [:]

  private struct Arrival {
    let headers: [HeaderLine]
    let token: [UInt8]?

    init(_ request: SessionRequest) {
      headers = request.headers
      token = request.token
    }

    /// What comes later than the connection.
    init(token: [UInt8]) { (headers, self.token) = ([], token) }
  }

  init(_ context: HubContext, pending: PendingOperations, limiters: RateLimiters, revocations: Revocations) {
    self.context = context
    self.pending = pending
    self.limiters = limiters
    self.revocations = revocations
  }

  /// Finds out who an arriving connection is, before it is greeted. Returns what its token came to when it is not good
  /// or was judged at once: to be concluded after the greeting.
  func recognize(_ id: SlabID, _ request: SessionRequest) -> TokenVerdict? {
    if let identity = request.identity {
      establish(id, identity)
      if decideConnect != nil, judgeToken != nil { grants[id] = ConnectGrant(holdingTo: identity) }
      return nil
    }
    if let user = request.user {
      guard !revocations.isRevoked(Identity(user: user)) else {
        _ = authenticating.begin(id)
        return .refused(reason: Refusal.revoked)
      }
      guard decideConnect != nil else {
        identify(id, as: user)
        return nil
      }
    }
    awaitToken(id)
    if decideConnect != nil { arrivals[id] = Arrival(request) }
    guard judgeToken != nil else {
      guard decideConnect != nil else { return nil }
      return judgeEarly(id) { decide(id, beyond: request.user.map(Identity.believed), conclude: $0) }
    }
    guard let token = request.token else { return nil }
    return judgeEarly(id) { judge(token, of: id, $0) }
  }

  private func awaitToken(_ id: SlabID) {
    awaitingToken.append((context.steady() + UInt64(context.configuration.authTimeoutMilliseconds), id))
  }

  /// Has a session judged that is not greeted yet. Returns the verdict when it comes at once and is not good.
  private func judgeEarly(_ id: SlabID, _ judge: (@escaping (TokenVerdict) -> Void) -> Void) -> TokenVerdict? {
    var verdict: TokenVerdict?
    var isGreeted = false
    _ = authenticating.begin(id)
    judge { [weak self] in
      if isGreeted { self?.conclude(id, $0, answerID: nil) } else { verdict = $0 }
    }
    isGreeted = true
    guard case .accepted(let identity) = verdict else { return verdict }
    _ = authenticating.end(id)
    establish(id, identity)
    return nil
  }

  /// Takes the token of an `auth`. Where no tokens are judged, who decides about connections is asked again, with the token;
  /// without such a one the user is known already and the answer names it.
  func authenticate(_ id: SlabID, token: [UInt8], answerID: [UInt8]?) {
    let isPending = authenticating.isPending(id)
    guard !isPending else {
      return context.refuse(id, .rateLimited, "a token is being judged: wait for its answer", answerID)
    }
    guard judgeToken != nil || decideConnect != nil else { return confirm(id, answerID: answerID) }
    _ = authenticating.begin(id)
    guard judgeToken != nil else {
      arrivals[id] = Arrival(token: token)
      let known = context.sessions[id.index].user.map { Identity.believed($0.name) }
      return decide(id, beyond: known) { [weak self] in self?.conclude(id, $0, answerID: answerID) }
    }
    judge(token, of: id) { [weak self] in self?.conclude(id, $0, answerID: answerID) }
  }

  /// Judges a token of a session. Of its first one it is decided, too, whether the session may connect; to later ones applies
  /// what was decided then.
  private func judge(_ token: [UInt8], of id: SlabID, _ conclude: @escaping (TokenVerdict) -> Void) {
    judge(token) { [weak self] verdict in
      guard let self, case .accepted(let identity) = verdict, context.sessions.contains(id) else {
        return conclude(verdict)
      }
      if arrivals[id] != nil { return decide(id, beyond: identity, conclude: conclude) }
      conclude(grants[id]?.identity(beyond: identity).map { .accepted($0) } ?? verdict)
    }
  }

  /// Decides whether a session may connect.
  private func decide(_ id: SlabID, beyond identity: Identity?, conclude: @escaping (TokenVerdict) -> Void) {
    let arrival = arrivals.removeValue(forKey: id)
    let question = ConnectQuestion(
      connection: context.connectionName(id), transport: context.sessions[id.index].transport,
      address: context.sessions[id.index].address, identity: identity,
      token: judgeToken == nil ? arrival?.token : nil, headers: arrival?.headers ?? [])
    decide(question) { [weak self] outcome in
      guard let self, context.sessions.contains(id) else { return }
      // Tokens that come later are held to it.
      if judgeToken != nil, let grant = outcome.grant, !grant.isEmpty { grants[id] = grant }
      conclude(outcome.verdict)
    }
  }

  /// Decides whether a client may connect. Answers once.
  func decide(_ question: ConnectQuestion, _ reply: @escaping (ConnectOutcome) -> Void) {
    guard let decideConnect else {
      return reply(ConnectOutcome(.allowed(ConnectGrant()), question, at: context.clock()))
    }
    var isAnswered = false
    decideConnect(question) { [weak self] decision in
      guard !isAnswered, let self else { return }
      isAnswered = true
      var outcome = ConnectOutcome(decision, question, at: context.clock())
      if case .accepted(let identity) = outcome.verdict, revocations.isRevoked(identity) {
        outcome.verdict = .refused(reason: Refusal.revoked)
      }
      reply(outcome)
    }
  }

  /// Judges a token, revocations included. Called only where tokens are asked for.
  func judge(_ token: [UInt8], _ conclude: @escaping (TokenVerdict) -> Void) {
    judgeToken?(token) { [weak self] verdict in
      if case .accepted(let identity) = verdict, self?.revocations.isRevoked(identity) == true {
        conclude(.refused(reason: Refusal.revoked))
      } else {
        conclude(verdict)
      }
    }
  }

  /// Obeys a verdict: the session has an identity, or ends.
  func conclude(_ id: SlabID, _ verdict: TokenVerdict, answerID: [UInt8]?) {
    guard authenticating.end(id) else { return }
    switch verdict {
    case .accepted(let identity):
      // What was done so far was done in the first user's name.
      if let user = context.sessions[id.index].user, user.name != identity.user {
        return endUnauthenticated(
          id, reason: "the token is another user's: open another connection", answerID: answerID)
      }
      establish(id, identity)
      confirm(id, answerID: answerID)
      announceExpiry(of: id)
      identityChanged(id)
    case .refused(let reason): endUnauthenticated(id, reason: reason, answerID: answerID)
    case .unavailable(let reason):
      context.observers.report(.sessions, .tokenUnjudged(connection: context.connectionName(id), reason: reason))
      // Who is known stays: its token is good until it expires.
      guard context.sessions[id.index].user == nil else {
        authenticating.noteUnjudged(id)
        return context.refuse(id, .unavailable, "the token cannot be judged now: send auth again in a moment", answerID)
      }
      endUnjudged(id, reason: reason, answerID: answerID)
    }
  }

  /// Whether a session waits, or has waited for nothing, for the decision on whether it may connect.
  private func isUndecided(_ id: SlabID) -> Bool {
    decideConnect != nil && arrivals[id] == nil && context.sessions[id.index].user == nil
  }

  /// Closes a client whose token cannot be judged now: it may come back with it.
  private func endUnjudged(_ id: SlabID, reason: String, answerID: [UInt8]?) {
    pending.forgetPostponed(id)
    context.refuse(id, .unavailable, reason, answerID)
    context.close(id, because: isUndecided(id) ? .connectUndecided : .tokensUnjudged)
  }

  /// Gives a session its identity, or another one of the same user: grants and expiry are the new one's from now on.
  private func establish(_ id: SlabID, _ identity: Identity) {
    context.sessions[id.index].identity = identity
    context.sessions[id.index].isExpiryTold = false
    authenticating.noteJudged(id)
    if context.sessions[id.index].user == nil {
      limiters.inheritLimiter(id)
      identify(id, as: identity.user)
    }
    if let expiresAt = identity.expiresAt { setDeadline(of: id, to: Authentication.noticeMoment(for: expiresAt)) }
  }

  private func identify(_ id: SlabID, as name: [UInt8]) {
    let user: LocalUser
    if let known = context.users.find(name.span) {
      guard limiters.admits(id, as: known) else { return }
      user = known
    } else {
      user = LocalUser(name: name)
      context.users.insert(user)
      context.broker.subscribe(user: name)
    }
    user.sessions.append(id.index)
    context.sessions[id.index].user = user
    context.observers.report(
      .sessions,
      .identified(
        connection: context.connectionName(id), user: name, transport: context.sessions[id.index].transport,
        address: context.sessions[id.index].address))
    if let member = context.member(id.index) { context.broker.connect(member) }
  }

  private func confirm(_ id: SlabID, answerID: [UInt8]?) {
    guard let user = context.sessions[id.index].user else {
      return context.refuse(id, .unauthenticated, "this connection has no user: connect again with one", answerID)
    }
    context.answer(id, .authSuccess(user: user.name), id: answerID)
  }

  /// Sends a client the reason why it is not, or no longer, authenticated, and closes its connection with 4401.
  func endUnauthenticated(_ id: SlabID, reason: String, answerID: [UInt8]?) {
    context.counters.authenticationFailures += 1
    context.observers.report(.sessions, .notAuthenticated(connection: context.connectionName(id), reason: reason))
    pending.forgetPostponed(id)
    context.answer(id, .authFailed(reason: reason), id: answerID)
    context.close(id, because: .notAuthenticated)
  }

  /// Keeps an operation that came while its connection's first token is being judged.
  func postponeUntilJudged(_ form: Postponed.Form, _ bytes: Span<UInt8>, of id: SlabID, answerID: [UInt8]?) {
    switch authenticating.keep(bytes.count, of: id) {
    case .kept: pending.postpone(form, bytes, of: id, answerID: answerID)
    case .tooMuchOfSession:
      context.refuse(id, .unauthenticated, "too much was sent before auth_success: wait for it", answerID)
    case .tooMuchOfNode:
      context.refuse(id, .unavailable, "too much waits for tokens to be judged: send it after auth_success", answerID)
    }
  }

  /// When a client gets `token_expires` for a token that expires at `moment`.
  private static func noticeMoment(for moment: UInt64) -> UInt64 {
    moment - min(moment, Limits.expiryNoticeMilliseconds)
  }

  /// Sends a client, once for each token, that its token expires soon, when that is so.
  func announceExpiry(of id: SlabID) {
    guard context.sessions.contains(id), !context.sessions[id.index].isExpiryTold,
      let expiresAt = context.sessions[id.index].identity?.expiresAt,
      Authentication.noticeMoment(for: expiresAt) <= context.clock()
    else { return }
    context.sessions[id.index].isExpiryTold = true
    context.answer(id, .tokenExpires(at: expiresAt))
  }

  /// Makes sure that the session is looked at when `moment` has come. An earlier entry stays, and is checked again when it is due.
  private func setDeadline(of id: SlabID, to moment: UInt64) {
    // At most one entry counts for each session, so that authenticating again and again takes no memory.
    guard moment < context.sessions[id.index].deadline else { return }
    forgetDeadline(of: id)
    context.sessions[id.index].deadline = moment
    deadlines.add(id, at: moment)
  }

  /// The session's entry, if it has one, is not wanted any more.
  private func forgetDeadline(of id: SlabID) {
    guard context.sessions[id.index].deadline != .max else { return }
    context.sessions[id.index].deadline = .max
    deadlines.forget { context.sessions.contains($0) && context.sessions[$0.index].deadline == $1 }
  }

  /// Ends the sessions whose token did not come in time, by the clock that no one can set.
  func endUnidentifiedSessions(_ now: UInt64) {
    guard let first = awaitingToken.first, first.deadline <= now else { return }
    var ended = 0
    while ended < awaitingToken.count, awaitingToken[ended].deadline <= now {
      let id = awaitingToken[ended].session
      ended += 1
      guard context.sessions.contains(id), context.sessions[id.index].user == nil else { continue }
      // That the keys did not come in time is not the client's fault.
      guard !authenticating.isPending(id) else {
        let reason = isUndecided(id) ? Refusal.connectUndecided : Refusal.tokenUnjudgedInTime
        conclude(id, .unavailable(reason: reason), answerID: nil)
        continue
      }
      context.counters.refusals.add(.authenticationTime)
      let seconds = context.configuration.authTimeoutMilliseconds / 1000
      endUnauthenticated(id, reason: "no valid token came within \(seconds) s", answerID: nil)
    }
    awaitingToken.removeFirst(ended)
  }

  /// Ends the sessions whose token has expired, by the wall clock, as tokens say it.
  func endExpiredSessions(_ now: UInt64) {
    while let (id, moment) = deadlines.popDue(at: now) {
      guard context.sessions.contains(id), context.sessions[id.index].deadline == moment else { continue }
      context.sessions[id.index].deadline = .max
      guard let expiresAt = context.sessions[id.index].identity?.expiresAt else { continue }
      guard expiresAt <= now else {
        announceExpiry(of: id)
        let isTold = context.sessions[id.index].isExpiryTold
        setDeadline(of: id, to: isTold ? expiresAt : Authentication.noticeMoment(for: expiresAt))
        continue
      }
      if authenticating.isOpen(id) {
        endUnjudged(id, reason: "the token has expired, and the newer one cannot be judged now", answerID: nil)
      } else {
        endUnauthenticated(id, reason: "the token has expired", answerID: nil)
      }
    }
  }

  /// Whether a session's token is being judged.
  func isPending(_ id: SlabID) -> Bool { authenticating.isPending(id) }

  /// Whether no session's token is being judged.
  var isIdle: Bool { authenticating.isEmpty }

  /// Moments at which sessions are looked at, stale ones included.
  var deadlineCount: Int { deadlines.count }

  /// Forgets a session that has ended.
  func forget(_ id: SlabID) {
    authenticating.forget(id)
    forgetDeadline(of: id)
    guard decideConnect != nil else { return }
    arrivals[id] = nil
    grants[id] = nil
  }

  /// Gives memory back after a crowd has left.
  func shrink() { deadlines.shrink() }
}
