import Glibc

/// Reads small files whole: keys and sets of keys.
public enum WholeFile {
  /// Milliseconds that a pipe may take to bring its text. The loop waits that long at the most.
  private static let pipeMilliseconds: Int32 = 1000

  /// Reads the file at `path`; throws also when it is longer than `bytesMax`, and when it is a pipe that brings nothing:
  /// nothing that a setting can name stops the loop for good.
  public static func read(_ path: String, bytesMax: Int) throws(SystemError) -> [UInt8] {
    // Without O_NONBLOCK opening a pipe waits for somebody to write to it; with O_NOCTTY no terminal becomes ours.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)
    guard descriptor >= 0 else { throw SystemError(path) }
    defer { close(descriptor) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 16_384)
    let deadline = Clock.monotonicNanoseconds() + UInt64(pipeMilliseconds) * 1_000_000
    while true {
      let count = Glibc.read(descriptor, &chunk, chunk.count)
      if count < 0, errno == EINTR { continue }
      if count < 0, errno == EAGAIN {
        guard waitForText(descriptor, until: deadline) else { throw SystemError(path, code: ETIMEDOUT) }
        continue
      }
      guard count >= 0 else { throw SystemError(path) }
      if count == 0 { return bytes }
      bytes += chunk[..<count]
      guard bytes.count <= bytesMax else { throw SystemError(path, code: EFBIG) }
    }
  }

  private static func waitForText(_ descriptor: Int32, until deadline: UInt64) -> Bool {
    let now = Clock.monotonicNanoseconds()
    guard deadline > now else { return false }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return poll(&entry, 1, Int32((deadline - now) / 1_000_000) + 1) > 0
  }
}
