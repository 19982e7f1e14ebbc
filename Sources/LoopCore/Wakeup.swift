import CSystem
import Glibc
import Synchronization

/// Carries messages from other threads to the loop: any thread posts, the loop's thread receives.
///
/// A stack of nodes behind one atomic word: a post is one compare-and-swap, a drain one exchange, and the eventfd is
/// written only when the box was empty. Order is kept per producer.
public final class Mailbox<Message: Sendable>: Sendable {
  private final class Node {
    let message: Message
    var next: UInt
    init(_ message: Message) {
      self.message = message
      next = 0
    }
  }

  private let head = Atomic<UInt>(0)
  private let event: Int32

  init() throws(SystemError) {
    event = eventfd(0, Int32(EFD_NONBLOCK | EFD_CLOEXEC))
    guard event >= 0 else { throw SystemError("eventfd") }
  }

  deinit {
    _ = take()
    close(event)
  }

  /// Puts a message into the box. Any thread may call.
  public func post(_ message: Message) {
    let node = Node(message)
    // Safe because the retain taken here is balanced by `takeRetainedValue` in `take`, the only consumer.
    let bits = UInt(bitPattern: Unmanaged.passRetained(node).toOpaque())
    var old = head.load(ordering: .relaxed)
    while true {
      node.next = old
      let result = head.weakCompareExchange(
        expected: old, desired: bits, successOrdering: .releasing, failureOrdering: .relaxed)
      if result.exchanged { break }
      old = result.original
    }
    guard old == 0 else { return }
    var one: UInt64 = 1
    _ = write(event, &one, 8)
  }

  /// Empties the box and returns its messages, oldest first.
  func take() -> [Message] {
    var messages: [Message] = []
    var bits = head.exchange(0, ordering: .acquiring)
    while let pointer = UnsafeRawPointer(bitPattern: bits) {
      // Safe because the exchange made this thread the only owner of the chain; see `post`.
      let node = Unmanaged<Node>.fromOpaque(pointer).takeRetainedValue()
      messages.append(node.message)
      bits = node.next
    }
    messages.reverse()
    return messages
  }

  fileprivate var descriptor: Int32 { event }
  fileprivate func clear() {
    var count: UInt64 = 0
    _ = read(event, &count, 8)
  }
}

/// Delivers a mailbox's messages on the loop. Confined to the loop that created it.
public final class MailboxReader<Message: Sendable>: EventHandler {
  /// The box to hand to other threads.
  public let mailbox: Mailbox<Message>
  private let receive: (Message) -> Void

  /// Opens a box whose messages are given to `receive` on the loop's thread.
  public init(_ loop: EventLoop, _ receive: @escaping (Message) -> Void) throws(SystemError) {
    mailbox = try Mailbox()
    self.receive = receive
    try loop.watch(mailbox.descriptor, for: .read, handler: loop.attach(self), token: 0)
  }

  public func ready(_ token: UInt64, _ readiness: Readiness) {
    mailbox.clear()
    for message in mailbox.take() { receive(message) }
  }
}
