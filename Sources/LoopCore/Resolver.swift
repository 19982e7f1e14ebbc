import CSystem
import Glibc

/// Resolves host names on helper threads, so that a slow name server never stops the loop.
/// Confined to the loop that created it.
public final class Resolver {
  private struct Answer: Sendable {
    let id: UInt64
    let addresses: [Address]?
  }

  private final class Waiting {
    var answers: [UInt64: ([Address]?) -> Void] = [:]
  }

  private let waiting = Waiting()
  private let reader: MailboxReader<Answer>
  private var nextID: UInt64 = 0

  public init(_ loop: EventLoop) throws(SystemError) {
    let waiting = waiting
    reader = try MailboxReader(loop) { waiting.answers.removeValue(forKey: $0.id)?($0.addresses) }
  }

  /// Resolves `host` and calls `answer` on the loop with its addresses, or nil when there are none.
  /// A numeric address is answered at once, without a thread.
  public func resolve(_ host: String, port: UInt16, _ answer: @escaping ([Address]?) -> Void) {
    if let address = Address(numericHost: host, port: port) { return answer([address]) }
    nextID += 1
    waiting.answers[nextID] = answer
    let (id, mailbox) = (nextID, reader.mailbox)
    let hasStarted = HelperThread.start {
      let addresses = Address.lookUp(host, port, flags: AI_NUMERICSERV)
      mailbox.post(Answer(id: id, addresses: addresses))
    }
    guard !hasStarted else { return }
    waiting.answers[id] = nil
    answer(nil)
  }
}
