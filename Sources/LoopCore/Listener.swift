import CSystem
import Glibc

/// A listening socket that accepts in bursts and survives running out of descriptors.
/// Confined to the loop that created it.
public final class Listener: EventHandler {
  /// Connections accepted per readiness event: a burst is taken quickly, and those already served still get their turn.
  private static let acceptsPerEventMax = 64

  private let loop: EventLoop
  private let socket: BoundSocket
  private var reserve: Int32
  private var handler = EventLoop.HandlerID(index: 0)
  private let refusal: [UInt8]
  private let accepted: (Int32, Address) -> Void
  private var isOpen = true

  /// The port that was bound: the one asked for, or the one the system chose for 0.
  public var port: UInt16 { socket.port }
  /// Connections refused because the process had no descriptor left.
  public private(set) var refusedCount: UInt64 = 0

  /// Takes over a bound socket. Nobody can connect before `listen`.
  ///
  /// - Parameters:
  ///   - refusal: bytes sent to a connection that is refused for lack of descriptors, before it is closed.
  ///   - accepted: takes over each new non-blocking descriptor, on the loop's thread.
  public init(
    _ loop: EventLoop, on socket: BoundSocket, refusal: [UInt8], accepted: @escaping (Int32, Address) -> Void
  ) {
    self.loop = loop
    self.socket = socket
    self.refusal = refusal
    self.accepted = accepted
    socket.setInherited(false)
    reserve = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
    handler = loop.attach(self)
  }

  /// Lets connections come. With SO_REUSEPORT this is the moment from which the kernel sends some of them here.
  public func listen() throws(SystemError) {
    try socket.listen()
    try loop.watch(socket.descriptor, for: .read, handler: handler, token: 0)
  }

  /// Stops listening, also where the process that made the socket still holds it. Idempotent.
  public func close() {
    guard isOpen else { return }
    isOpen = false
    socket.end()
    Socket.close(reserve)
  }

  public func ready(_ token: UInt64, _ readiness: Readiness) {
    for _ in 0..<Listener.acceptsPerEventMax where isOpen {
      var storage = sockaddr_storage()
      var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
      let peer = acceptOne(&storage, &length)
      if peer >= 0 {
        accepted(peer, Address(storage: storage, length: length))
      } else if errno == EMFILE || errno == ENFILE {
        refuseOne()
      } else if errno != ECONNABORTED && errno != EINTR {
        return
      }
    }
  }

  /// Without a free descriptor the waiting connection could be neither served nor refused, and the level-triggered
  /// event would spin: give up the reserve for a moment, say so to the peer, and take the reserve back.
  private func refuseOne() {
    Socket.close(reserve)
    var storage = sockaddr_storage()
    var length = socklen_t(MemoryLayout<sockaddr_storage>.size)
    let peer = acceptOne(&storage, &length)
    if peer >= 0 {
      refusedCount += 1
      // Safe because the bytes are only read during the call.
      refusal.withUnsafeBytes { _ = Socket.send(peer, $0) }
      Socket.finishSending(peer)
      Socket.close(peer)
    }
    reserve = Glibc.open("/dev/null", O_RDONLY | O_CLOEXEC)
  }

  private func acceptOne(_ storage: inout sockaddr_storage, _ length: inout socklen_t) -> Int32 {
    // Safe because a sockaddr_storage has room for any address, and `length` says so to the kernel.
    withUnsafeMutablePointer(to: &storage) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        accept4(socket.descriptor, $0, &length, Int32(SOCK_NONBLOCK.rawValue) | Int32(SOCK_CLOEXEC.rawValue))
      }
    }
  }
}
