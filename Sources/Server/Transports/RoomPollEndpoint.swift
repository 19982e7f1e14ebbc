import ClientProtocol
import HTTPCore
import LoopCore
import Realtime
import Settings
import TimeCore

/// `GET /poll?room=R&since=EPOCH:OFFSET&wait=25s`: what came in a room after a position, or a wait for it. Each request stands
/// by itself: any node answers it, and nothing is left of it. Confined to the loop that created it.
final class RoomPollEndpoint {
  /// Milliseconds that a poll waits when it does not say: proxies end what is silent for a minute, some for half of one.
  static let waitDefault = 25_000
  /// The longest wait in milliseconds: below the minute after which most proxies end what is silent.
  static let waitMax = 55_000

  private let hub: Hub
  private let table: ConnectionTable
  private let identifier: RequestIdentifier
  private let metrics: Metrics

  init(hub: Hub, table: ConnectionTable, identifier: RequestIdentifier, metrics: Metrics) {
    self.hub = hub
    self.table = table
    self.identifier = identifier
    self.metrics = metrics
  }

  /// What a request asks for.
  private struct Question {
    let room: [UInt8]
    let since: Position?
    let waitMilliseconds: Int

    init(_ query: Query) throws(ProtocolError) {
      let rooms = query.all("room")
      guard rooms.count == 1 else {
        throw ProtocolError(.badRequest, "a poll is of one room: /poll?room=NAME; an event stream takes several")
      }
      room = rooms[0]
      since = try query.first("since").map { text throws(ProtocolError) in try PollEndpoint.position(text) }
      waitMilliseconds = try PollEndpoint.wait(query)
    }
  }

  func answer(_ request: Request) {
    guard request.head.method == .get else {
      return table.respond(request.connection, ErrorResponse.methodNotAllowed("GET"))
    }
    let question: Question
    do {
      question = try Question(request.head.query)
    } catch {
      return refuse(request.connection, error.code, error.message)
    }
    identifier.identify(request, over: nil) { [weak self] result in
      switch result {
      case .success(let (user, identity)): self?.decide(request, question, user: user, identity)
      case .failure(let error): self?.refuse(request.connection, error.code, error.message)
      }
    }
  }

  /// A poll reads a room that it has not joined, each time anew.
  private func decide(_ request: Request, _ question: Question, user: [UInt8], _ identity: Identity?) {
    guard hub.asksAboutOperations else { return poll(request, question, user: user, identity) }
    hub.decideJoins(of: [question.room], user: user, by: identity) { [weak self] problem in
      if let problem {
        self?.refuse(request.connection, problem.code, problem.message)
      } else {
        self?.poll(request, question, user: user, identity)
      }
    }
  }

  private func poll(_ request: Request, _ question: Question, user: [UInt8], _ identity: Identity?) {
    let id = request.connection
    let caller = RequestCaller(user: user, identity: identity, address: request.address) { _, _ in }
    // The answer of a short poll has a tag, by which a client that has it already gets 304.
    let tags = question.waitMilliseconds == 0 ? request.head.list(.ifNoneMatch) ?? [] : nil
    let waiter = PollWaiter(
      room: question.room, since: question.since, waits: question.waitMilliseconds > 0, by: caller
    ) { [weak self] outcome in
      switch outcome {
      case .answer(let answer): self?.respond(id, answer, tags)
      case .refused(let code, let message): self?.refuse(id, code, message)
      }
    }
    guard question.waitMilliseconds > 0, question.since != nil else { return hub.poll(waiter) }
    if let refusal = table.beginWait(request, waiter, for: wait(of: waiter, question.waitMilliseconds)) {
      return table.respond(id, refusal)
    }
    hub.poll(waiter)
  }

  /// How long a poll may wait: no longer than its token lasts, and the two ticks by which a timer may come early.
  private func wait(of waiter: PollWaiter, _ asked: Int) -> Interval {
    let asked = Interval.milliseconds(asked)
    guard let end = waiter.expiresAt else { return asked }
    let now = Clock.wallMilliseconds()
    let left = Interval.milliseconds(Int(clamping: end > now ? end - now : 0))
    return min(asked, left + ConnectionTimers.tickInterval * 2)
  }

  private func respond(_ id: SlabID, _ answer: PollAnswer, _ tags: [UInt8]?) {
    guard let tags else {
      metrics.messagesDelivered += UInt64(answer.messageCount)
      return table.respond(id, { self.response(answer) }, sharedBytes: sharedBytes(answer))
    }
    let tag = RoomPollEndpoint.tag(of: answer)
    guard !EntityTag.matches(tag, in: tags) else {
      var unchanged = Response(status: 304)
      unchanged.forbidStoring()
      unchanged.addHeader("ETag", tag.span)
      return table.respond(id, unchanged)
    }
    metrics.messagesDelivered += UInt64(answer.messageCount)
    var response = response(answer)
    response.addHeader("ETag", tag.span)
    table.respond(id, response)
  }

  private func response(_ answer: PollAnswer) -> Response {
    var response = Response.json(answer.json)
    response.forbidStoring()
    return response
  }

  /// The whole answer as it leaves on a connection that goes on by itself: made with the first, shared by all.
  private func sharedBytes(_ answer: PollAnswer) -> [UInt8] {
    if let encoded = answer.encoded { return encoded }
    var bytes: [UInt8] = []
    response(answer).append(to: &bytes)
    answer.encoded = bytes
    return bytes
  }

  /// Names what an answer to the same question says: where the room is, and whether all was there.
  private static func tag(of answer: PollAnswer) -> [UInt8] {
    var tag: [UInt8] = [UInt8(ascii: "\"")]
    answer.position.append(to: &tag)
    if !answer.isRecovered { tag.append(contentsOf: ":lost".utf8) }
    tag.append(UInt8(ascii: "\""))
    return tag
  }

  /// Answers with the error that a socket would get.
  private func refuse(_ id: SlabID, _ code: ErrorCode, _ message: String) {
    var response = ErrorResponse.make(code, message)
    // Rates are of a second.
    if code == .rateLimited { response.addHeader("Retry-After", "1") }
    table.respond(id, response)
  }
}
