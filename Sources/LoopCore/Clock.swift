import CSystem
import Glibc
import TimeCore

/// Reads the system's clocks.
public enum Clock {
  /// Nanoseconds of the monotonic clock: for intervals, never for dates.
  public static func monotonicNanoseconds() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_MONOTONIC, &t)
    return UInt64(t.tv_sec) &* 1_000_000_000 &+ UInt64(t.tv_nsec)
  }

  /// The moment that the monotonic clock has now.
  public static func instant() -> Instant { Instant(nanoseconds: monotonicNanoseconds()) }

  /// Nanoseconds that this thread has been at work.
  public static func threadNanoseconds() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t)
    return UInt64(t.tv_sec) &* 1_000_000_000 &+ UInt64(t.tv_nsec)
  }

  /// Milliseconds since 1970-01-01 UTC: for time stamps that people and other machines read.
  public static func wallMilliseconds() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_REALTIME, &t)
    return UInt64(t.tv_sec) &* 1000 &+ UInt64(t.tv_nsec) / 1_000_000
  }

  /// Nanoseconds since 1970-01-01 UTC: for the times of traces.
  public static func wallNanoseconds() -> UInt64 {
    var t = timespec()
    clock_gettime(CLOCK_REALTIME, &t)
    return UInt64(t.tv_sec) &* 1_000_000_000 &+ UInt64(t.tv_nsec)
  }

  /// Milliseconds since 1970 as the wall clock had them when this was asked first, counted on by the monotonic clock:
  /// for deadlines. Setting the clock moves none of them.
  public static func steadyMilliseconds() -> UInt64 { monotonicNanoseconds() / 1_000_000 &+ steadyOffset }

  private static let steadyOffset = wallMilliseconds() &- monotonicNanoseconds() / 1_000_000
}
