import Realtime

/// The backend that decides what clients may do, and answers what they request. Confined to the thread of its loop.
public final class Backend {
  /// What clients read when there is no answer.
  private enum Reason {
    static let ended = "the node stops: nothing was done, connect to another one"
    static let paused = "the backend does not answer at present: nothing was done, try again in a few seconds"
    static let tooMany = "the backend has too much to answer: nothing was done, try again in a moment"
    static let tooManyOfOwner =
      "too much of this user or address waits for the backend: nothing was done, wait for answers first"
  }

  public let questions: BackendCalls
  public let requests: BackendCalls
  private let clock: () -> UInt64
  /// What an answer without `rooms` allows where the backend alone says who a client is; nil: all rooms.
  private let defaultRooms: RoomGrants?
  /// Called for each question that was not sent, because too many wait.
  public var tooManyQuestions: () -> Void = {}

  /// - Parameter clock: milliseconds since 1970.
  public init(
    questions: BackendCalls, requests: BackendCalls, defaultRooms: RoomGrants?, clock: @escaping () -> UInt64
  ) {
    (self.questions, self.requests, self.defaultRooms, self.clock) = (questions, requests, defaultRooms, clock)
  }

  /// Decides about an operation.
  public func decide(_ question: Question, _ reply: @escaping (Decision) -> Void) {
    var takesData = false
    if case .message = question.subject { takesData = true }
    questions.call(
      BackendQuestion.text(question, at: clock()), of: question.owner, trace: question.trace,
      read: { [takesData] (body) throws(UnusableAnswer) in try BackendAnswer.decision(body, takesData: takesData) }
    ) { [weak self] result in
      switch result {
      case .success(let decision): reply(decision)
      case .failure(let fault): reply(.unavailable(reason: self?.reason(fault) ?? Reason.ended))
      }
    }
  }

  /// Decides about a connection.
  public func decide(_ question: ConnectQuestion, _ reply: @escaping (ConnectDecision) -> Void) {
    let (needsUser, defaultRooms) = (question.identity == nil, defaultRooms)
    questions.call(
      BackendQuestion.text(question, at: clock()), of: question.owner,
      read: { (body) throws(UnusableAnswer) in
        try BackendAnswer.connect(body, needsUser: needsUser, defaultRooms: defaultRooms)
      }
    ) { [weak self] result in
      switch result {
      case .success(let decision): reply(decision)
      case .failure(let fault): reply(.unavailable(reason: self?.reason(fault) ?? Reason.ended))
      }
    }
  }

  /// Answers a client's request.
  public func answer(_ request: ActionRequest, _ reply: @escaping (ActionOutcome) -> Void) {
    requests.call(
      BackendQuestion.text(request, at: clock()), of: request.owner, trace: request.trace,
      read: { (body) throws(UnusableAnswer) in try BackendAnswer.response(body) }
    ) { result in
      switch result {
      case .success(let outcome): reply(outcome)
      case .failure(.failed(let failure)): reply(.failure(.unavailable, failure.forClients))
      case .failure(.paused): reply(.failure(.unavailable, Reason.paused))
      case .failure(.tooMany): reply(.failure(.unavailable, Reason.tooMany))
      case .failure(.tooManyOfOwner): reply(.failure(.rateLimited, Reason.tooManyOfOwner))
      }
    }
  }

  private func reason(_ fault: BackendCalls.Fault) -> String {
    switch fault {
    case .failed(let failure): return failure.forClients
    case .paused: return Reason.paused
    case .tooMany:
      tooManyQuestions()
      return Reason.tooMany
    case .tooManyOfOwner:
      tooManyQuestions()
      return Reason.tooManyOfOwner
    }
  }
}

@available(*, unavailable)
extension Backend: Sendable {}
