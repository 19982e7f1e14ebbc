import LoopCore

/// What the tasks of a program and the thread of its node share: the way in, and the calls that wait for an answer.
final class NodeLink: Sendable {
  /// Something to do on the node's thread.
  typealias Work = @Sendable (NodeHost) -> Void

  private enum Phase {
    case starting
    case running(Mailbox<Work>)
    case ended(NodeError?)
  }

  private struct Call {
    let bytes: Int
    let fail: @Sendable (NodeError) -> Void
  }

  private struct State {
    var phase = Phase.starting
    var port: UInt16 = 0
    var calls: [UInt64: Call] = [:]
    var waitingBytes = 0
    var lastID: UInt64 = 0
    /// Who waits for the start, and who for the end.
    var starting: [CheckedContinuation<Void, any Error>] = []
    var ending: [CheckedContinuation<Void, any Error>] = []
  }

  private let state = Locked(State())

  /// The port of the node once it has started.
  var port: UInt16 { state.withLock { $0.port } }

  /// Has the node's thread do something and answer; throws at once when too much waits, and at the node's end.
  func call<Value: Sendable>(
    bytes: Int, _ work: @escaping @Sendable (NodeHost, @escaping @Sendable (Result<Value, NodeError>) -> Void) -> Void
  ) async throws -> Value {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Value, any Error>) in
      let call = Call(bytes: bytes) { continuation.resume(throwing: $0) }
      switch begin(call) {
      case .failure(let error): continuation.resume(throwing: error)
      case .success(let (id, mailbox)):
        mailbox.post { host in
          work(host) { result in
            if self.finish(id) { continuation.resume(with: result.mapError { $0 as any Error }) }
          }
        }
      }
    }
  }

  private func begin(_ call: Call) -> Result<(UInt64, Mailbox<Work>), NodeError> {
    state.withLock { state in
      guard case .running(let mailbox) = state.phase else { return .failure(.stopped) }
      guard state.calls.count < EmbeddingLimits.callsWaitingMax,
        state.waitingBytes == 0 || state.waitingBytes + call.bytes <= EmbeddingLimits.callBytesMax
      else {
        return .failure(
          NodeError(.overloaded, "too many calls wait for the node: await some before you make more"))
      }
      state.lastID += 1
      state.calls[state.lastID] = call
      state.waitingBytes += call.bytes
      return .success((state.lastID, mailbox))
    }
  }

  /// Takes a call out of those that wait; false when it was answered already.
  private func finish(_ id: UInt64) -> Bool {
    state.withLock { state in
      guard let call = state.calls.removeValue(forKey: id) else { return false }
      state.waitingBytes -= call.bytes
      return true
    }
  }

  /// Has the node's thread do something, if it runs.
  func post(_ work: @escaping Work) {
    let mailbox: Mailbox<Work>? = state.withLock { if case .running(let mailbox) = $0.phase { mailbox } else { nil } }
    mailbox?.post(work)
  }

  // MARK: Start and end

  /// Returns when clients can connect; throws when the node ended instead.
  func awaitStart(_ start: () -> Void) async throws {
    try await withCheckedThrowingContinuation { continuation in
      state.withLock { $0.starting.append(continuation) }
      start()
    }
  }

  /// Returns when the node has ended; throws the reason unless it was stopped.
  func awaitEnd() async throws {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
      let ended: NodeError?? = state.withLock { state in
        if case .ended(let failure) = state.phase { return .some(failure) }
        state.ending.append(continuation)
        return nil
      }
      if let failure = ended { NodeLink.resume([continuation], failure) }
    }
  }

  /// Notes that clients can connect.
  func started(_ mailbox: Mailbox<Work>, port: UInt16) {
    let waiting: [CheckedContinuation<Void, any Error>] = state.withLock { state in
      state.phase = .running(mailbox)
      state.port = port
      defer { state.starting = [] }
      return state.starting
    }
    NodeLink.resume(waiting, nil)
  }

  /// Notes that the node has ended. Every call that waits fails.
  func ended(_ failure: NodeError?) {
    let (calls, starting, ending) = state.withLock { state in
      if case .ended = state.phase { return ([Call](), state.starting, state.ending) }
      state.phase = .ended(failure)
      defer { (state.calls, state.waitingBytes, state.starting, state.ending) = ([:], 0, [], []) }
      return (Array(state.calls.values), state.starting, state.ending)
    }
    for call in calls { call.fail(failure ?? .stopped) }
    NodeLink.resume(starting, failure ?? .stopped)
    NodeLink.resume(ending, failure)
  }

  private static func resume(_ waiting: [CheckedContinuation<Void, any Error>], _ failure: NodeError?) {
    for continuation in waiting {
      if let failure { continuation.resume(throwing: failure) } else { continuation.resume() }
    }
  }
}
