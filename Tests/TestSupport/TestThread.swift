import Glibc

/// Starts a thread with a closure of its own. The caller must wait for what the thread does.
package func startThread(_ body: @escaping @Sendable () -> Void) throws { pthread_detach(try start(Work(body))) }

/// Runs a closure on a thread of its own, waits for the thread's end, and returns what the closure returned.
package func onThreadOfItsOwn<Value>(_ body: @escaping @Sendable () throws -> Value) throws -> Value {
  var result: Result<Value, any Error>?
  pthread_join(try start(Work { result = Result { try body() } }), nil)
  guard let result else { throw TestFailure("the thread did nothing") }
  return try result.get()
}

private final class Work {
  let run: () -> Void
  init(_ run: @escaping () -> Void) { self.run = run }
}

private func start(_ work: Work) throws -> pthread_t {
  var thread = pthread_t()
  // Safe because the retain is balanced by the thread's `takeRetainedValue`.
  let context = Unmanaged.passRetained(work).toOpaque()
  let code = pthread_create(
    &thread, nil,
    { context in
      // Safe because exactly one retained Work was passed.
      Unmanaged<Work>.fromOpaque(context!).takeRetainedValue().run()
      return nil
    }, context)
  guard code == 0 else { throw TestFailure("no thread: \(code)") }
  return thread
}
