import LoopCore
import TimeCore
import Transfers

/// Calls of one kind to a backend: each is answered, or fails in time. Confined to the thread of its loop.
///
/// Each kind has connections and a circuit breaker of its own: what a backend cannot do keeps it from nothing else.
public final class BackendCalls {
  /// Posts a body, and answers once; `WebhookClient` does.
  public typealias Post = (
    _ body: [UInt8], _ completion: @escaping (Result<WebhookResponse, TransferFault>) -> Void
  ) -> Void

  /// Why there is no answer.
  public enum Fault: Error, Equatable, Sendable {
    /// It failed: no answer, none with a status of 2xx, or none that can be used.
    case failed
    /// It was not sent, because many before have failed.
    case paused
    /// It was not sent, because too many wait already.
    case tooMany
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
    /// One failure; at most one in ``BackendLimits/logInterval``.
    case failed(String)
  }

  public private(set) var counts = Counts()
  private var breaker = CircuitBreaker()
  private let post: Post
  private let now: () -> Instant
  private let log: (Notice) -> Void
  private var loggedAt: Instant?

  /// - Parameters:
  ///   - post: sends.
  ///   - now: the time.
  ///   - log: takes what people should know.
  public init(post: @escaping Post, now: @escaping () -> Instant, log: @escaping (Notice) -> Void) {
    (self.post, self.now, self.log) = (post, now, log)
  }

  /// Whether calls are not sent for now.
  public var isPaused: Bool { !breaker.isClosed }

  /// Sends a body and reads the answer. Answers once: at once when it is not sent, else later.
  public func call<Answer>(
    _ body: [UInt8], read: @escaping ([UInt8]) throws(UnusableAnswer) -> Answer,
    _ reply: @escaping (Result<Answer, Fault>) -> Void
  ) {
    guard breaker.admits(at: now()) else {
      counts.skipped += 1
      return reply(.failure(.paused))
    }
    post(body) { [weak self] result in
      guard let self else { return }
      reply(conclude(result, read: read))
    }
  }

  private func conclude<Answer>(
    _ result: Result<WebhookResponse, TransferFault>, read: ([UInt8]) throws(UnusableAnswer) -> Answer
  ) -> Result<Answer, Fault> {
    switch result {
    case .failure(let fault) where fault.kind == .tooManyRequests:
      breaker.noteUnsent(at: now())
      counts.skipped += 1
      return .failure(.tooMany)
    case .failure(let fault): return fail("no answer: \(fault)")
    case .success(let response) where !response.isSuccess:
      // A client may ask for what does not exist; a backend that says so is there.
      let isThere = (400...499).contains(response.status) && ![408, 429].contains(response.status)
      return fail("its status is \(response.status)", isThere: isThere)
    case .success(let response):
      do throws(UnusableAnswer) {
        let answer = try read(response.body)
        counts.answered += 1
        if breaker.noteSuccess() != nil { log(.closed) }
        return .success(answer)
      } catch {
        return fail("\(error)")
      }
    }
  }

  private func fail<Answer>(_ reason: String, isThere: Bool = false) -> Result<Answer, Fault> {
    counts.failed += 1
    let change = isThere ? breaker.noteSuccess() : breaker.noteFailure(at: now())
    switch change {
    case .opened: log(.opened(reason))
    case .closed: log(.closed)
    case nil:
      if loggedAt.map({ now() - $0 >= BackendLimits.logInterval }) ?? true {
        loggedAt = now()
        log(.failed(reason))
      }
    }
    return .failure(.failed)
  }
}

@available(*, unavailable)
extension BackendCalls: Sendable {}
