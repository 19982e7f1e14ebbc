import Glibc
import TestSupport

@testable import LoopCore

/// A pair of connected, non-blocking sockets, closed when the object goes.
final class SocketPair {
  let near: Int32
  let far: Int32

  init() throws {
    var ends: [Int32] = [-1, -1]
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    guard socketpair(AF_UNIX, type, 0, &ends) == 0 else { throw TestFailure("no pair of sockets: errno \(errno)") }
    (near, far) = (ends[0], ends[1])
  }

  deinit {
    close(near)
    close(far)
  }

  /// Reads what waits at the far end, at most 64 KiB.
  func read() -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 65_536)
    // Safe because the buffer is alive during the call.
    guard case .bytes(let count) = buffer.withUnsafeMutableBytes({ Socket.receive(far, into: $0) }) else { return [] }
    return Array(buffer[..<count])
  }

  /// Sends from the near end as much as the kernel takes, and returns how much that was.
  @discardableResult
  func write(_ bytes: [UInt8]) -> Int {
    // Safe because the bytes are alive during the call.
    guard case .bytes(let count) = bytes.withUnsafeBytes({ Socket.send(near, $0) }) else { return 0 }
    return count
  }

  /// Sends until the kernel takes no more.
  func fill() {
    let chunk = [UInt8](repeating: 0, count: 4096)
    while write(chunk) > 0 {}
  }
}
