import ClientProtocol
import LoopCore
import Realtime
import TimeCore
import Transfers

/// Calls of one kind to a backend: each is answered, or fails in time. Confined to the thread of its loop.
///
/// Each kind has connections and a circuit breaker of its own: what a backend cannot do keeps it from nothing else.
public final class BackendCalls {
  /// Posts a body as part of a trace, if any, and answers once, within some time; `WebhookClient` does.
  public typealias Post = (
    _ body: [UInt8], _ trace: TraceContext?, _ time: Interval,
    _ completion: @escaping (Result<TransferAnswer, TransferFault>) -> Void
  ) -> Void

  /// Why there is no answer.
  public enum Fault: Error, Equatable, Sendable {
    /// It failed: no answer, none with a status of 2xx, or none that can be used.
    case failed(BackendFailure)
    /// It was not sent, because many before have failed.
    case paused
    /// It was not sent, because too many wait already.
    case tooMany
    /// It was not sent, because too many of the same client wait already, or have waited too long for each other.
    case tooManyOfOwner
  }

  /// What became of calls since the start.
  public struct Counts: Equatable, Sendable {
    public var answered: UInt64 = 0
    public var failed: UInt64 = 0
    /// Not sent.
    public var skipped: UInt64 = 0

    public init(answered: UInt64 = 0, failed: UInt64 = 0, skipped: UInt64 = 0) {
      (self.answered, self.failed, self.skipped) = (answered, failed, skipped)
    }
  }

  /// What is to be logged.
  public enum Notice: Equatable {
    /// The reason for the last failure, as a sentence about the answer.
    case opened(String)
    case closed
    /// One failure; of those for the same reason at most one in ``BackendLimits/logInterval``.
    case failed(String)
  }

  public private(set) var counts = Counts()
  private var breaker = CircuitBreaker()
  private let post: Post
  private let timeout: Interval
  private let now: () -> Instant
  private let log: (Notice) -> Void
  private var shares = BackendShares()
  /// When failures were logged last, by their reasons.
  private var loggedAt: [String: Instant] = [:]

  /// - Parameters:
  ///   - timeout: until a call has failed, the time that it waits included.
  ///   - post: sends.
  ///   - now: the time.
  ///   - log: takes what people should know.
  public init(
    timeout: Interval, post: @escaping Post, now: @escaping () -> Instant, log: @escaping (Notice) -> Void
  ) {
    (self.timeout, self.post, self.now, self.log) = (timeout, post, now, log)
  }

  /// Whether calls are not sent for now.
  public var isPaused: Bool { !breaker.isClosed }

  /// Sends a body and reads the answer. Answers once: at once when it is not sent, else later.
  ///
  /// - Parameters:
  ///   - owner: the client who causes it and has a share of what is under way; nil: nobody can be told.
  ///   - trace: what it is part of; nil: no trace.
  public func call<Answer>(
    _ body: [UInt8], of owner: ClientOwner?, trace: TraceContext? = nil,
    read: @escaping ([UInt8]) throws(UnusableAnswer) -> Answer,
    _ reply: @escaping (Result<Answer, Fault>) -> Void
  ) {
    // Nothing waits for what is not sent.
    guard let owner, breaker.isClosed else { return send(body, trace, within: timeout, read: read, reply) }
    let place = shares.take(
      BackendShares.Waiting(deadline: now() + timeout) { [weak self] left in
        guard let left else {
          self?.counts.skipped += 1
          return reply(.failure(.tooManyOfOwner))
        }
        self?.send(body, trace, within: left, read: read) { [weak self] result in
          reply(result)
          self?.end(of: owner)
        }
      }, of: owner)
    switch place {
    case .waits: break
    case .refused:
      counts.skipped += 1
      reply(.failure(.tooManyOfOwner))
    case .start:
      send(body, trace, within: timeout, read: read) { [weak self] result in
        reply(result)
        self?.end(of: owner)
      }
    }
  }

  /// Goes on with what waits for a client's call that has ended.
  private func end(of owner: ClientOwner) {
    let (late, next) = shares.end(of: owner, at: now())
    for call in late { call.start(nil) }
    if let next { next.start(next.deadline - now()) }
  }

  private func send<Answer>(
    _ body: [UInt8], _ trace: TraceContext?, within time: Interval,
    read: @escaping ([UInt8]) throws(UnusableAnswer) -> Answer, _ reply: @escaping (Result<Answer, Fault>) -> Void
  ) {
    guard breaker.admits(at: now()) else {
      counts.skipped += 1
      return reply(.failure(.paused))
    }
    post(body, trace, time) { [weak self] result in
      guard let self else { return }
      reply(conclude(result, read: read))
    }
  }

  private func conclude<Answer>(
    _ result: Result<TransferAnswer, TransferFault>,
    read: ([UInt8]) throws(UnusableAnswer) -> Answer
  ) -> Result<Answer, Fault> {
    switch result {
    case .failure(let fault) where fault.kind == .tooManyRequests:
      breaker.noteUnsent(at: now())
      counts.skipped += 1
      return .failure(.tooMany)
    case .failure(let fault): return fail(.transfer(fault.kind, fault.description))
    case .success(let response) where !response.isSuccess:
      // A client may ask for what does not exist; a backend that says so is there.
      let isThere = (400...499).contains(response.status) && ![408, 429].contains(response.status)
      return fail(.status(response.status), isThere: isThere)
    case .success(let response):
      do throws(UnusableAnswer) {
        let answer = try read(response.body)
        counts.answered += 1
        if breaker.noteSuccess() != nil { log(.closed) }
        return .success(answer)
      } catch {
        return fail(.unusable(error))
      }
    }
  }

  private func fail<Answer>(
    _ failure: BackendFailure, isThere: Bool = false
  ) -> Result<Answer, Fault> {
    counts.failed += 1
    let change = isThere ? breaker.noteSuccess() : breaker.noteFailure(at: now())
    switch change {
    case .opened: log(.opened(failure.forLog))
    case .closed: log(.closed)
    case nil: report(failure)
    }
    return .failure(.failed(failure))
  }

  private func report(_ failure: BackendFailure) {
    let (key, now) = (failure.logKey, now())
    if let last = loggedAt[key], now - last < BackendLimits.logInterval { return }
    if loggedAt.count >= BackendLimits.loggedReasonsMax {
      loggedAt = loggedAt.filter { now - $0.value < BackendLimits.logInterval }
      guard loggedAt.count < BackendLimits.loggedReasonsMax else { return }
    }
    loggedAt[key] = now
    log(.failed(failure.forLog))
  }
}

@available(*, unavailable)
extension BackendCalls: Sendable {}
