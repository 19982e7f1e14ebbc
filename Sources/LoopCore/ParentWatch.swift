import CSystem
import Glibc

/// Tells a child process that its parent has ended, however it ended: the parent holds the writing end of a pipe, and the
/// kernel closes it with the parent. Confined to the loop that created it.
public final class ParentWatch: EventHandler {
  private let loop: EventLoop
  private let descriptor: Int32
  private let ended: () -> Void
  private var handler = EventLoop.HandlerID(index: 0)

  /// Makes the pipe, neither end of which a child inherits by itself. Nothing is ever written to it.
  public static func makePipe() throws(SystemError) -> (parent: Int32, child: Int32) {
    var ends: [Int32] = [-1, -1]
    guard pipe2(&ends, O_CLOEXEC | O_NONBLOCK) == 0 else { throw SystemError("pipe2") }
    return (ends[1], ends[0])
  }

  /// Watches the child's end. `ended` is called once, on the loop's thread, also when the parent has ended before.
  public init(_ loop: EventLoop, descriptor: Int32, _ ended: @escaping () -> Void) throws(SystemError) {
    self.loop = loop
    self.descriptor = descriptor
    self.ended = ended
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    handler = loop.attach(self)
    try loop.watch(descriptor, for: .read, handler: handler, token: 0)
  }

  public func ready(_ token: UInt64, _ readiness: Readiness) {
    loop.unwatch(descriptor)
    ended()
  }
}
