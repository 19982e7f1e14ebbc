import LoopCore
import TimeCore

/// Calls of one kind of handler: each runs as a task of its own, and its answer comes back to the node's thread by a
/// mailbox. Confined to that thread.
///
/// So many may run at a time, and each has so long. A task cannot be ended from outside: one that goes on after its time
/// keeps its place until it returns.
final class HandlerCalls<Answer: Sendable> {
  /// What became of a call.
  enum Outcome {
    case answered(Answer)
    /// The handler threw; the text says what, for the log.
    case failed(String)
    case timedOut
    case tooMany
  }

  private enum Message: Sendable {
    case answered(UInt64, Answer)
    case failed(UInt64, String)
  }

  private struct Waiting {
    let task: Task<Void, Never>
    let reply: (Outcome) -> Void
  }

  private let loop: EventLoop
  private let timeout: Interval
  private let runningMax: Int
  private var reader: MailboxReader<Message>?
  private var waiting: [UInt64: Waiting] = [:]
  /// The deadlines of calls in the order of their beginning, which is the order of the deadlines, too; from `first` on.
  private var deadlines: [(at: Instant, id: UInt64)] = []
  private var first = 0
  private var lastID: UInt64 = 0
  private var isTimed = false
  /// Tasks that have not returned, those whose time is over included.
  private(set) var runningCount = 0

  init(_ loop: EventLoop, timeout: Interval, runningMax: Int) throws(SystemError) {
    (self.loop, self.timeout, self.runningMax) = (loop, timeout, runningMax)
    reader = try MailboxReader(loop) { [weak self] in self?.take($0) }
  }

  /// Calls a handler. Replies once, at once or later.
  func call(_ handler: @escaping @Sendable () async throws -> Answer, _ reply: @escaping (Outcome) -> Void) {
    guard runningCount < runningMax, let mailbox = reader?.mailbox else { return reply(.tooMany) }
    runningCount += 1
    lastID += 1
    let id = lastID
    let task = Task {
      do {
        mailbox.post(.answered(id, try await handler()))
      } catch {
        mailbox.post(.failed(id, "\(error)"))
      }
    }
    waiting[id] = Waiting(task: task, reply: reply)
    deadlines.append((loop.instant + timeout, id))
    watch()
  }

  /// Cancels what runs; nothing is replied any more.
  func stop() {
    for call in waiting.values { call.task.cancel() }
    waiting = [:]
    deadlines = []
    first = 0
  }

  private func take(_ message: Message) {
    runningCount -= 1
    switch message {
    case .answered(let id, let answer): waiting.removeValue(forKey: id)?.reply(.answered(answer))
    case .failed(let id, let what): waiting.removeValue(forKey: id)?.reply(.failed(what))
    }
    skipAnswered()
  }

  private func watch() {
    guard !isTimed, first < deadlines.count else { return }
    isTimed = true
    loop.after(deadlines[first].at - loop.instant) { [weak self] in
      self?.isTimed = false
      self?.expire()
    }
  }

  private func expire() {
    while first < deadlines.count, deadlines[first].at <= loop.instant {
      if let call = waiting.removeValue(forKey: deadlines[first].id) {
        call.task.cancel()
        call.reply(.timedOut)
      }
      guard first < deadlines.count else { break }
      first += 1
    }
    skipAnswered()
    watch()
  }

  private func skipAnswered() {
    while first < deadlines.count, waiting[deadlines[first].id] == nil { first += 1 }
    guard first > 1024, first > deadlines.count / 2 else { return }
    deadlines.removeFirst(first)
    first = 0
  }
}
