import Glibc

/// Runs a closure on a thread of its own, waits for the thread's end, and returns what the closure returned.
package func onThreadOfItsOwn<Value>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
  var result: Result<Value, any Error>?
  let work = Work { result = Result { try body() } }
  var thread = pthread_t()
  // Safe because the thread is waited for, and `work` outlives it.
  let context = Unmanaged.passUnretained(work).toOpaque()
  let code = pthread_create(
    &thread, nil,
    { context in
      // Safe because a Work was passed that its maker keeps.
      Unmanaged<Work>.fromOpaque(context!).takeUnretainedValue().run()
      return nil
    }, context)
  guard code == 0 else { throw TestFailure("no thread: \(code)") }
  withExtendedLifetime(work) { _ = pthread_join(thread, nil) }
  guard let result else { throw TestFailure("the thread did nothing") }
  return try result.get()
}

private final class Work {
  let run: () -> Void
  init(_ run: @escaping () -> Void) { self.run = run }
}
