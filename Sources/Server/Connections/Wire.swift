import LoopCore

/// What carries the bytes of a connection.
enum Wire {
  /// Its socket.
  case socket
  /// TLS over its socket.
  case tls(TLSSession)
  /// Memory, without a socket.
  case memory(MemoryWire)

  /// The TLS layer, or nil without one.
  var tls: TLSSession? {
    if case .tls(let session) = self { session } else { nil }
  }

  /// Whether bytes go into the socket as they are.
  @inline(__always)
  var isPlainSocket: Bool {
    if case .socket = self { true } else { false }
  }

  /// Writes once; may take only a part.
  @inline(__always)
  func send(_ bytes: UnsafeRawBufferPointer, on socket: Int32) -> Transfer {
    switch self {
    case .socket: Socket.send(socket, bytes)
    case .tls(let session): session.send(bytes)
    case .memory(let memory): memory.send(bytes)
    }
  }

  /// Reads once into `buffer`.
  @inline(__always)
  func receive(into buffer: UnsafeMutableRawBufferPointer, from socket: Int32) -> Transfer {
    switch self {
    case .socket: Socket.receive(socket, into: buffer)
    case .tls(let session): session.receive(into: buffer)
    case .memory: .wouldBlock
    }
  }

  /// Ends the sending side: the peer reads what was sent, then the end.
  func finishSending(on socket: Int32) {
    switch self {
    case .socket: Socket.finishSending(socket)
    case .tls(let session):
      session.finishSending()
      Socket.finishSending(socket)
    case .memory: break
    }
  }
}

/// Takes what a connection sends in memory, as a socket takes it: no more than there is room for. A connection over it
/// receives what is given to `ConnectionProtocol.receive`.
final class MemoryWire {
  /// Bytes that it still takes.
  var capacity = Int.max
  /// Whether every send fails.
  var isBroken = false
  private var sent: [UInt8] = []

  func send(_ bytes: UnsafeRawBufferPointer) -> Transfer {
    guard !isBroken else { return .failed(0) }
    let count = min(bytes.count, capacity)
    guard count > 0 else { return .wouldBlock }
    capacity -= count
    sent.append(contentsOf: bytes[..<count])
    return .bytes(count)
  }

  /// Takes what was sent so far.
  func take() -> [UInt8] {
    defer { sent = [] }
    return sent
  }
}
