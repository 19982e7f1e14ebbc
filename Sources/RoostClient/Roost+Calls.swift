import ClientProtocol
import JSONCore

// Operations and their answers.

extension Roost {
  /// Sends an operation under an id and waits for its answer.
  ///
  /// - Parameters:
  ///   - resends: whether sending it twice does no harm.
  ///   - note: gets the answer where it stands among what the server sends.
  ///   - write: writes the members beside `type`, `room` and `id`.
  func call(
    _ type: ClientOperation.Kind, room: String?, resends: Bool, note: Call.Settle? = nil,
    _ write: (inout JSONWriter) -> Void
  ) async throws -> Reply {
    use()
    let (id, number) = calls.nextID()
    let operation = Operation(type, id: id, room: room, write)
    return try await withTaskCancellationHandler {
      try await withCheckedThrowingContinuation { continuation in
        let call = Call(operation: operation, number: number, resends: resends) { roost, result in
          note?(roost, result)
          continuation.resume(with: result.mapError { $0 as any Error })
        }
        start(call)
        if Task.isCancelled { cancel(id) }
      }
    } onCancel: {
      Task { await self.cancel(id) }
    }
  }

  /// Sends an operation of the client's own, whose answer comes to a closure.
  func call(
    _ type: ClientOperation.Kind, room: String?, settle: @escaping Call.Settle, _ write: (inout JSONWriter) -> Void
  ) {
    let (id, number) = calls.nextID()
    let operation = Operation(type, id: id, room: room, write)
    start(Call(operation: operation, number: number, resends: false, settle: settle))
  }

  private func start(_ call: Call) {
    if case .closed(_, let reason) = state {
      return call.settle(self, .failure(ClientError(.closed, "the client is closed (\(reason)): call connect()")))
    }
    guard calls.add(call, countMax: options.offlineCallsMax, bytesMax: options.offlineBytesMax) else {
      let text = "too much waits for the connection: await some calls before you make more"
      return call.settle(self, .failure(ClientError(.queueFull, text)))
    }
    flush()
  }

  private func cancel(_ id: String) {
    guard let call = calls.take(id) else { return }
    call.settle(
      self, .failure(ClientError(.cancelled, "the task was cancelled; what was sent may be done all the same")))
  }

  /// Sends what waits and may be sent.
  func flush() {
    guard state == .open, let link else { return }
    let due = calls.takeUnsent(at: .now) { [rooms] call in
      guard call.needsJoin, let room = call.operation.room, let entry = rooms[room] else { return false }
      return !entry.isJoined
    }
    for operation in due.send { link.send(operation) }
    for call in due.expired {
      call.settle(self, .failure(ClientError(.expired, "sent for minutes and never answered: it may have been done")))
    }
  }

  /// Gives an answer to the call that waits for it; false: none does.
  func settle(_ id: [UInt8], _ message: ServerMessage, _ text: [UInt8]) -> Bool {
    guard let call = calls.take(string(id)) else { return false }
    if let error = ClientError(answer: message) {
      call.settle(self, .failure(error))
    } else {
      call.settle(self, .success(Reply(message: message, text: text)))
    }
    return true
  }
}
