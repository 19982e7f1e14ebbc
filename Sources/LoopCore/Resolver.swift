import CSystem
import Glibc

/// Resolves host names on helper threads, so that a slow name server never stops the loop.
/// Confined to the loop that created it.
public final class Resolver {
  private struct Answer: Sendable {
    let id: UInt64
    let addresses: [Address]?
  }

  private final class Question: Sendable {
    let host: String
    let port: UInt16
    let id: UInt64
    let mailbox: Mailbox<Answer>
    init(host: String, port: UInt16, id: UInt64, mailbox: Mailbox<Answer>) {
      self.host = host
      self.port = port
      self.id = id
      self.mailbox = mailbox
    }
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
    let question = Question(host: host, port: port, id: nextID, mailbox: reader.mailbox)
    var thread = pthread_t()
    // Safe because the retain is balanced by the thread's `takeRetainedValue`, or below when no thread could start.
    let context = Unmanaged.passRetained(question).toOpaque()
    let code = pthread_create(&thread, nil, Resolver.body, context)
    guard code == 0 else {
      // Safe because no thread has taken the reference.
      Unmanaged<Question>.fromOpaque(context).release()
      waiting.answers[nextID] = nil
      return answer(nil)
    }
    pthread_detach(thread)
  }

  private static let body: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
    // Safe because `resolve` passed exactly one retained Question.
    let question = Unmanaged<Question>.fromOpaque(context!).takeRetainedValue()
    let addresses = Address.lookUp(question.host, question.port, flags: AI_NUMERICSERV)
    question.mailbox.post(Answer(id: question.id, addresses: addresses))
    return nil
  }
}
