import CSystem
import Glibc

/// Delivers POSIX signals as ordinary events of the loop. Confined to the loop that created it.
public final class Signals: EventHandler {
  private let descriptor: Int32
  private let receive: (Int32) -> Void

  /// Blocks `signals` for the process and gives each that arrives to `receive`, on the loop's thread.
  /// Call it before any thread is started, so that no thread inherits them unblocked.
  public init(_ loop: EventLoop, _ signals: [Int32], _ receive: @escaping (Int32) -> Void) throws(SystemError) {
    var set = sigset_t()
    sigemptyset(&set)
    for signal in signals { sigaddset(&set, signal) }
    sigprocmask(SIG_BLOCK, &set, nil)
    descriptor = signalfd(-1, &set, Int32(SFD_NONBLOCK | SFD_CLOEXEC))
    guard descriptor >= 0 else { throw SystemError("signalfd") }
    self.receive = receive
    try loop.watch(descriptor, for: .read, handler: loop.attach(self), token: 0)
  }

  public func ready(_ token: UInt64, _ readiness: Readiness) {
    var info = signalfd_siginfo()
    while read(descriptor, &info, MemoryLayout<signalfd_siginfo>.size) == MemoryLayout<signalfd_siginfo>.size {
      receive(Int32(info.ssi_signo))
    }
  }
}
