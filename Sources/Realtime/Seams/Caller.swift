import AddressCore
import ClientProtocol
import JSONCore

/// Who asks for an operation: in whose name, with what rights, and where the answer goes.
enum Caller {
  /// A connection that stays open: its session knows the rest.
  case session(SlabID)
  /// A request that brings one operation and takes one answer.
  case request(RequestCaller)
  /// A backend or an operator, by way of the admin endpoint: it may do everything.
  case backend((Result<Position, BrokerError>) -> Void)
}

/// Whoever sends one operation without a connection that stays open: `POST /send`.
public final class RequestCaller {
  /// The user's name.
  let user: [UInt8]
  /// What its token says, or nil: without authentication.
  let identity: Identity?
  /// The client's numeric address.
  let address: [UInt8]
  /// Whether the address is loopback or private, which limits that were not set spare.
  let isLocal: Bool
  private var reply: ((_ text: [UInt8], ErrorCode?) -> Void)?

  /// - Parameter reply: takes the answer, one JSON object, and the code when it is an error. Called once.
  public init(
    user: [UInt8], identity: Identity?, address: [UInt8],
    reply: @escaping (_ text: [UInt8], ErrorCode?) -> Void
  ) {
    self.user = user
    self.identity = identity
    self.address = address
    isLocal = IPAddress(text: address.span)?.isLocal ?? false
    self.reply = reply
  }

  /// Sends the answer. Of several the first counts.
  func answer(_ event: ServerEvent, id: [UInt8]?) {
    guard let reply else { return }
    self.reply = nil
    var text: [UInt8] = []
    event.appendJSON(id: id, to: &text)
    var code: ErrorCode?
    if case .error(let error, _) = event { code = error }
    reply(text, code)
  }
}

extension Hub {
  /// Appends the name of the user who asks, as a JSON string.
  func appendUserJSON(of caller: Caller, to output: inout [UInt8]) {
    switch caller {
    case .session(let id): sessions[id.index].user?.appendNameJSON(to: &output)
    case .request(let request):
      let name = request.user
      JSONString.append(name.span, to: &output)
    case .backend: output.append("null")
    }
  }

  /// The name of the user who asks; nil: not known yet.
  func userName(of caller: Caller) -> [UInt8]? {
    switch caller {
    case .session(let id): sessions[id.index].user?.name
    case .request(let request): request.user
    case .backend: nil
    }
  }

  func identity(of caller: Caller) -> Identity? {
    switch caller {
    case .session(let id): sessions[id.index].identity
    case .request(let request): request.identity
    case .backend: nil
    }
  }

  func isLocal(_ caller: Caller) -> Bool {
    switch caller {
    case .session(let id): sessions[id.index].isLocal
    case .request(let request): request.isLocal
    case .backend: true
    }
  }

  /// Sends an answer to whoever asked. A request has to be answered; over a connection an operation without an `id` is not
  /// acknowledged.
  func acknowledge(_ caller: Caller, _ event: ServerEvent, id answerID: [UInt8]?) {
    switch caller {
    case .session(let id): if answerID != nil { answer(id, event, id: answerID) }
    case .request(let request): request.answer(event, id: answerID)
    case .backend: break
    }
  }

  func refuse(_ caller: Caller, _ code: ErrorCode, _ message: String, _ answerID: [UInt8]?) {
    switch caller {
    case .session(let id): refuse(id, code, message, answerID)
    case .request(let request): request.answer(.error(code, message), id: answerID)
    case .backend: break
    }
  }

  /// Refuses what the broker did not do: with `unavailable` when it may do it later, with `internal` when it will not.
  ///
  /// - Parameter whenAway: what to say when the broker is out of reach.
  func refuse(
    _ caller: Caller, failure error: BrokerError, _ whenAway: @autoclosure () -> String, _ answerID: [UInt8]?
  ) {
    if error == .refused { return refuse(caller, .internal, Hub.damaged, answerID) }
    refuse(caller, .unavailable, Hub.saying(broker.refusal, in: whenAway()), answerID)
  }

  /// Notes that an operation waits for the broker. `operationEnds` must follow once, however it ends.
  func operationBegins(_ caller: Caller, bytes: Int) {
    switch caller {
    case .session(let id): operationBegins(id, bytes: bytes)
    case .request, .backend: noteInFlight(bytes)
    }
  }

  /// Notes that an operation was answered, or given up.
  func operationEnds(_ caller: Caller, bytes: Int) {
    switch caller {
    case .session(let id): operationEnds(id, bytes: bytes)
    case .request, .backend: noteLanded(bytes)
    }
  }

  // MARK: Operations without a session

  /// Performs one operation of a client that has no connection: `message`, `direct`, `broadcast` or `ping`. It is charged
  /// to the caller's user, or to its address where names are not proved, with the rates of a connection.
  ///
  /// - Parameter text: the operation as JSON; valid UTF-8.
  public func perform(_ text: Span<UInt8>, by request: RequestCaller) {
    let operation: ClientOperation
    let caller = Caller.request(request)
    do {
      operation = try ClientOperation(parsing: text)
    } catch {
      guard charge(request, bytes: text.count, nil) else { return }
      return refuse(caller, error.code, error.message, error.id.map { [UInt8](copying: text.extracting($0)) })
    }
    let answerID = copyID(operation, text)
    guard charge(request, bytes: text.count, answerID) else { return }
    guard !isCongested else {
      return refuse(caller, .unavailable, "too much waits for Redis: send it again in a moment", answerID)
    }
    switch operation.kind {
    case .message: publish(operation, text, from: caller)
    case .direct: direct(operation, text, from: caller)
    case .broadcast: broadcast(operation, text, from: caller)
    case .ping: request.answer(.pong(at: clock()), id: answerID)
    case .auth, .join, .leave, .presence, .state, .history, .request:
      refuse(
        caller, .badRequest, "without a connection there are message, direct, broadcast and ping: open a WebSocket",
        answerID)
    }
  }

  /// Charges an operation to the rates of its user or address. When it is refused it was answered.
  private func charge(_ request: RequestCaller, bytes: Int, _ answerID: [UInt8]?) -> Bool {
    let operations = configuration.operationsPerSecond.value(isLocal: request.isLocal)
    let bytesPerSecond = configuration.bytesPerSecond.value(isLocal: request.isLocal)
    guard operations > 0 || bytesPerSecond > 0 else { return true }
    let now = steady()
    let owner: RecentAllowances.Owner =
      request.identity.map { .user($0.user) } ?? RecentAllowances.Owner(address: request.address)
    let allowance =
      recentAllowances.take(of: owner, at: now)
      ?? SendAllowance(
        operationsPerSecond: operations, bytesPerSecond: bytesPerSecond,
        messageBytesMax: configuration.messageBytesMax, now: now)
    defer { recentAllowances.keep(allowance, of: owner, at: now) }
    guard case .refused(let limit, let perSecond) = allowance.charge(bytes: bytes, at: now) else { return true }
    counters.refusals.add(limit)
    let unit = limit == .bytes ? "bytes" : "operations"
    refuse(.request(request), .rateLimited, "more than \(perSecond) \(unit) a second: send more slowly", answerID)
    return false
  }
}
