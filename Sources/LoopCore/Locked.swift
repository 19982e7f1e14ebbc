import Glibc

/// A value that several threads use, one at a time.
///
/// Over POSIX's mutex and not `Synchronization.Mutex`: ThreadSanitizer knows the first, and takes every use of the second for
/// a race, because the library that locks it is not instrumented.
package final class Locked<Value>: @unchecked Sendable {
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private var value: Value

  /// Starts with a value that nobody else has.
  package init(_ value: sending Value) {
    self.value = value
    pthread_mutex_init(mutex, nil)
  }

  deinit {
    pthread_mutex_destroy(mutex)
    mutex.deallocate()
  }

  /// Lends the value. The body must not use it again through this object.
  package func withLock<Result>(_ body: (inout Value) -> Result) -> Result {
    pthread_mutex_lock(mutex)
    defer { pthread_mutex_unlock(mutex) }
    return body(&value)
  }
}
