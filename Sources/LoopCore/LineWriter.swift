import CSystem
import Glibc

/// Writes lines to a descriptor from a thread of its own, so that nobody who does not read them can stop the caller.
///
/// Lines wait in a bounded buffer; one that does not fit is dropped whole and counted. Every line leaves by one write, so
/// that lines of several processes on one pipe do not mix (PIPE_BUF, pipe(7)), and none is cut. Any thread may call.
public final class LineWriter: Sendable {
  /// Bytes of lines that wait, by default: some thousands of lines, what a node may log while a pipe's reader restarts.
  public static let bytesMaxDefault = 256 * 1024
  /// Milliseconds that `drain` waits for a reader when the process ends.
  public static let drainMilliseconds = 1000

  private struct State {
    var lines: [[UInt8]] = []
    var bytes = 0
    var isWriting = false
    var hasThread = false
    var dropped: UInt64 = 0
    var unreported: UInt64 = 0
  }

  /// What an attempt to add a line came to.
  private enum Outcome { case dropped, waits, wakes, starts }

  private let descriptor: Int32
  private let bytesMax: Int
  private let state = Locked(State())
  /// Wakes the thread; -1 when the system gives none, and then lines are written at once.
  private let event: Int32

  /// Makes a writer; its thread starts with the first line.
  public init(descriptor: Int32, bytesMax: Int = LineWriter.bytesMaxDefault) {
    self.descriptor = descriptor
    self.bytesMax = bytesMax
    event = eventfd(0, Int32(EFD_CLOEXEC))
  }

  /// Lines dropped since the start because the buffer was full.
  public var droppedCount: UInt64 { state.withLock { $0.dropped } }

  /// Adds a line, its line feed included. Never waits.
  public func write(_ line: [UInt8]) {
    let outcome = state.withLock { state in
      guard state.bytes + line.count <= bytesMax else {
        state.dropped += 1
        state.unreported += 1
        return Outcome.dropped
      }
      state.lines.append(line)
      state.bytes += line.count
      if state.hasThread { return state.lines.count == 1 ? .wakes : .waits }
      state.hasThread = true
      return .starts
    }
    switch outcome {
    case .dropped, .waits: break
    case .wakes: wake()
    case .starts:
      if HelperThread.start({ [self] in run() }) {
        wake()
      } else {
        state.withLock { $0.hasThread = false }
        writeWaiting()
      }
    }
  }

  /// Takes how many lines were dropped since this was last asked; 0 while there is no room to say so.
  public func takeUnreported() -> UInt64 {
    state.withLock { state in
      guard state.bytes < bytesMax / 2 else { return 0 }
      defer { state.unreported = 0 }
      return state.unreported
    }
  }

  /// Waits until everything is written, but no longer than a reader is worth that does not read.
  public func drain(milliseconds: Int = LineWriter.drainMilliseconds) {
    let deadline = Clock.monotonicNanoseconds() + UInt64(milliseconds) * 1_000_000
    while state.withLock({ !$0.lines.isEmpty || $0.isWriting }), Clock.monotonicNanoseconds() < deadline {
      usleep(500)
    }
  }

  private func wake() {
    var one: UInt64 = 1
    _ = Glibc.write(event, &one, 8)
  }

  private func run() {
    while true {
      var count: UInt64 = 0
      // Waits for a line. An error here is a signal's, or there is no eventfd: then a pause does.
      if read(event, &count, 8) < 0, errno != EINTR { usleep(10_000) }
      writeWaiting()
    }
  }

  private func writeWaiting() {
    while true {
      let lines = state.withLock { state in
        var lines: [[UInt8]] = []
        swap(&lines, &state.lines)
        state.isWriting = !lines.isEmpty
        return lines
      }
      if lines.isEmpty { return }
      for line in lines {
        let isWritten = writeWhole(line)
        // Room is given back line by line: what was written waits no more.
        state.withLock { state in
          state.bytes -= line.count
          if !isWritten { state.dropped += 1 }
        }
      }
    }
  }

  /// Writes one line whole, however long the reader takes. Returns false when the descriptor is closed
  /// or broken.
  private func writeWhole(_ line: [UInt8]) -> Bool {
    var written = 0
    while written < line.count {
      // Safe because the pointer is used only inside the closure and stays within the line.
      let count = line.withUnsafeBytes { Glibc.write(descriptor, $0.baseAddress! + written, line.count - written) }
      if count >= 0 {
        written += count
      } else if errno == EAGAIN {
        // Another process that shares the descriptor has made it non-blocking.
        var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
        poll(&entry, 1, -1)
      } else if errno != EINTR {
        return false
      }
    }
    return true
  }
}
