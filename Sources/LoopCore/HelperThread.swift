import Glibc

/// Runs blocking work beside the loop: name resolution, fetching keys. What it finds comes back through a `Mailbox`.
public enum HelperThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Starts a thread that runs `body` once. Returns false when the system gives no thread; then nothing runs.
  public static func start(_ body: @escaping @Sendable () -> Void) -> Bool {
    var thread = pthread_t()
    // Safe because the retain is balanced by the thread's `takeRetainedValue`, or below when no thread could start.
    let context = Unmanaged.passRetained(Body(body)).toOpaque()
    // A thread begins with the signals blocked that its maker blocks. A signal for the process is the loop's, whenever the
    // loop begins to wait for it; what a fault of the thread's own raises stays.
    var all = sigset_t()
    var before = sigset_t()
    sigfillset(&all)
    for signal in [SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT] { sigdelset(&all, signal) }
    pthread_sigmask(SIG_BLOCK, &all, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    guard pthread_create(&thread, nil, entry, context) == 0 else {
      // Safe because no thread has taken the reference.
      Unmanaged<Body>.fromOpaque(context).release()
      return false
    }
    pthread_detach(thread)
    return true
  }

  private static let entry: @convention(c) (UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? = { context in
    // Safe because `start` passed exactly one retained Body.
    Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
    return nil
  }
}
