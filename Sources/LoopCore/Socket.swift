import CSystem
import Glibc

/// What one read or write on a non-blocking socket came to.
public enum Transfer: Equatable, Sendable {
  case bytes(Int)
  /// The kernel's buffer is empty (read) or full (write): wait for readiness.
  case wouldBlock
  /// The peer has closed (read only).
  case end
  case failed(Int32)
}

/// System calls on stream sockets. Every descriptor is non-blocking and close-on-exec.
public enum Socket {
  /// Starts a connection to `address`. Readiness for writing tells the end of it; then ask `pendingError`.
  ///
  /// `source` is the local address to connect from, with port 0; nil lets the system choose. Its port is chosen together
  /// with the peer's address (IP_BIND_ADDRESS_NO_PORT), so that every source has all ports for every peer.
  public static func connect(to address: Address, from source: Address? = nil) throws(SystemError) -> Int32 {
    let type = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue)
    let descriptor = socket(address.family, type, 0)
    guard descriptor >= 0 else { throw SystemError("socket") }
    if address.family != AF_UNIX { setNoDelay(descriptor) }
    if let source {
      var one: Int32 = 1
      setsockopt(descriptor, Int32(IPPROTO_IP), IP_BIND_ADDRESS_NO_PORT, &one, socklen_t(MemoryLayout<Int32>.size))
      guard source.withSockaddr({ bind(descriptor, $0, $1) }) == 0 else {
        let error = SystemError("bind \(source.host)")
        Glibc.close(descriptor)
        throw error
      }
    }
    let code = address.withSockaddr { Glibc.connect(descriptor, $0, $1) }
    if code != 0, errno != EINPROGRESS {
      let error = SystemError("connect \(address.host):\(address.port)")
      Glibc.close(descriptor)
      throw error
    }
    return descriptor
  }

  /// Returns and clears the error that a finished connection attempt left, 0 for success.
  public static func pendingError(_ descriptor: Int32) -> Int32 {
    var code: Int32 = 0
    var length = socklen_t(MemoryLayout<Int32>.size)
    guard getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &code, &length) == 0 else { return errno }
    return code
  }

  /// The address at this end of a connection, or nil when the system does not say.
  public static func localAddress(_ descriptor: Int32) -> Address? {
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    // Safe because a sockaddr_storage has room for any address, and `length` says so to the kernel.
    let result = withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(descriptor, $0, &length) }
    }
    return result == 0 ? Address(storage: storage, length: length) : nil
  }

  /// Reads once into `buffer`.
  @inline(__always)
  public static func receive(_ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer) -> Transfer {
    let count = recv(descriptor, buffer.baseAddress, buffer.count, 0)
    if count > 0 { return .bytes(count) }
    if count == 0 { return .end }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(errno)
  }

  /// Looks at the first byte that waits to be read, or returns nil when there is none.
  public static func peek(_ descriptor: Int32) -> UInt8? {
    var byte: UInt8 = 0
    return recv(descriptor, &byte, 1, Int32(MSG_PEEK)) == 1 ? byte : nil
  }

  /// Copies at most `count` bytes that wait to be read into `buffer`, and leaves them where they are.
  public static func peek(
    _ descriptor: Int32, into buffer: UnsafeMutableRawBufferPointer, count: Int
  ) -> Transfer {
    let seen = recv(descriptor, buffer.baseAddress, min(count, buffer.count), Int32(MSG_PEEK))
    if seen > 0 { return .bytes(seen) }
    if seen == 0 { return .end }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(errno)
  }

  /// Writes once from `bytes`; may take only a part.
  @inline(__always)
  public static func send(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Transfer {
    let count = Glibc.send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_NOSIGNAL))
    if count >= 0 { return .bytes(count) }
    return errno == EAGAIN || errno == EINTR ? .wouldBlock : .failed(errno)
  }

  /// Bytes that the peer's kernel has acknowledged since the connection began, or nil when this kernel does not tell.
  public static func acknowledgedBytes(_ descriptor: Int32) -> UInt64? {
    // `struct tcp_info` of linux/tcp.h: `tcpi_bytes_acked` stands at byte 120, since Linux 4.1.
    var words = [UInt64](repeating: 0, count: 32)
    var length = socklen_t(words.count * 8)
    guard getsockopt(descriptor, Int32(IPPROTO_TCP), TCP_INFO, &words, &length) == 0, length >= 128 else { return nil }
    return words[15]
  }

  /// Whether the kernel holds bytes that the peer's has not acknowledged.
  public static func holdsUnacknowledged(_ descriptor: Int32) -> Bool {
    var count: Int32 = 0
    return ioctl(descriptor, UInt(TIOCOUTQ), &count) == 0 && count > 0
  }

  /// Ends the sending side: the peer reads what was sent, then the end.
  public static func finishSending(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Ends both directions: who receives on it meets the end.
  public static func shutDown(_ descriptor: Int32) { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  public static func close(_ descriptor: Int32) { _ = Glibc.close(descriptor) }

  static func setNoDelay(_ descriptor: Int32) {
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
  }
}
