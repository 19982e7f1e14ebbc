import LoopCore

/// Gives the readiness of sockets to the `ClientSocket`s of one loop, which share its resolver and its buffer.
///
/// A loop keeps its handlers for ever: so there is one for all sockets, however many come and go. Confined to its loop.
public final class SocketDispatcher: EventHandler {
  /// Bytes read at a time.
  private static let readBytes = 64 << 10

  let loop: EventLoop
  let resolver: Resolver
  // Safe because it lives as long as self, is touched on the loop only, and is never kept by who is given it.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: SocketDispatcher.readBytes, alignment: 16)
  private lazy var handler = loop.attach(self)
  private var sockets: [UInt64: ClientSocket] = [:]
  private var lastToken: UInt64 = 0

  /// Makes the dispatcher of a loop.
  public init(_ loop: EventLoop) throws(SystemError) {
    self.loop = loop
    resolver = try Resolver(loop)
  }

  deinit { buffer.deallocate() }

  public func ready(_ token: UInt64, _ readiness: Readiness) { sockets[token]?.ready(token, readiness) }

  /// Watches the descriptor of a socket, which is kept until `unwatch`. Returns the token of its events.
  func watch(
    _ descriptor: Int32, for interest: Readiness, _ socket: ClientSocket
  ) throws(SystemError) -> UInt64 {
    lastToken += 1
    try loop.watch(descriptor, for: interest, handler: handler, token: lastToken)
    sockets[lastToken] = socket
    return lastToken
  }

  /// Changes what a descriptor is watched for.
  func change(_ descriptor: Int32, to interest: Readiness, _ token: UInt64) {
    loop.change(descriptor, to: interest, handler: handler, token: token)
  }

  /// Forgets a socket. Its descriptor is closed by its owner.
  func forget(_ token: UInt64) { sockets[token] = nil }
}
