import Glibc

/// A TCP connection to this machine, blocking with deadlines. Closed when the object goes.
package final class TCPConnection {
  /// The socket, for `poll`; -1 once it is closed.
  package private(set) var descriptor: Int32

  /// Connects to 127.0.0.1.
  ///
  /// - Parameter receiveBytes: the kernel's receive buffer, to make a slow reader slow; nil: the system's default.
  package init(port: UInt16, receiveBytes: Int32? = nil) throws {
    descriptor = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw TestFailure("no socket: errno \(errno)") }
    if var receiveBytes {
      setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &receiveBytes, socklen_t(MemoryLayout<Int32>.size))
    }
    // The object is whole by now: when this throws, `deinit` closes the socket.
    guard SocketAddress.loopback(port, { connect(descriptor, $0, $1) }) == 0 else {
      throw TestFailure("cannot connect to port \(port): errno \(errno)")
    }
    var one: Int32 = 1
    setsockopt(descriptor, Int32(IPPROTO_TCP), TCP_NODELAY, &one, socklen_t(MemoryLayout<Int32>.size))
    _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL, 0) | O_NONBLOCK)
  }

  deinit { closeNow() }

  /// Closes the socket, without a farewell of any protocol. Idempotent.
  package func closeNow() {
    if descriptor >= 0 { close(descriptor) }
    descriptor = -1
  }

  /// Closes with RST, as a machine does that has forgotten the connection.
  package func reset() {
    var option = linger(l_onoff: 1, l_linger: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    closeNow()
  }

  /// Ends the sending side only.
  package func finishSending() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Sends all of the bytes.
  package func send(_ bytes: [UInt8], within seconds: Double = 10) throws {
    let sent = try sendSome(bytes[...], within: seconds)
    guard sent == bytes.count else { throw TestFailure("sent \(sent) of \(bytes.count) bytes") }
  }

  /// Sends as much as the socket takes, waiting no longer than this for it to take more. Returns how many bytes it took.
  package func sendSome(_ bytes: ArraySlice<UInt8>, within seconds: Double) throws -> Int {
    let deadline = Deadline(within: seconds)
    var sent = 0
    while sent < bytes.count {
      // Safe because the pointer is used only inside the closure and stays within the slice.
      let count = bytes.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress! + sent, bytes.count - sent, Int32(MSG_NOSIGNAL))
      }
      if count > 0 {
        sent += count
      } else if errno == EAGAIN {
        guard wait(for: POLLOUT, until: deadline) else { return sent }
      } else if errno != EINTR {
        throw TestFailure("cannot send: errno \(errno)")
      }
    }
    return sent
  }

  package func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// What a read came to.
  package enum Read: Equatable {
    case bytes([UInt8])
    /// The peer has ended or reset the connection.
    case end
    case nothing
  }

  /// Reads what comes next, waiting for it until the deadline.
  package func read(until deadline: Deadline) -> Read {
    var chunk = [UInt8](repeating: 0, count: 65_536)
    while true {
      let count = recv(descriptor, &chunk, chunk.count, 0)
      if count > 0 { return .bytes(Array(chunk[..<count])) }
      if count == 0 { return .end }
      guard errno == EAGAIN || errno == EINTR else { return .end }
      guard wait(for: POLLIN, until: deadline) else { return .nothing }
    }
  }

  private func wait(for events: Int32, until deadline: Deadline) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(events), revents: 0)
    return poll(&entry, 1, deadline.millisecondsLeft) > 0
  }
}
