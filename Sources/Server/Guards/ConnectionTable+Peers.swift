import AddressCore
import HTTPCore
import LoopCore
import Realtime

// Who is at the other end: the peer itself, or whom a trusted proxy speaks for; and how many it may be.

extension ConnectionTable {
  /// A peer's address as bytes of text and as a number.
  struct Peer {
    let text: [UInt8]
    let address: IPAddress

    init(_ address: IPAddress) {
      self.address = address
      text = address.text
    }

    /// The peer whose text is kept with a connection.
    init(text: [UInt8]) {
      self.text = text
      address = IPAddress(text: text.span) ?? IPAddress(high: 0, low: 0)
    }
  }

  /// Decides about a socket that was just accepted: what its connection begins with, or nil when it was sent away.
  ///
  /// A trusted proxy's sockets are not counted: each client behind it is, as soon as it is known.
  func receive(_ socket: Int32, from peer: Peer, _ entrance: Entrance) -> (stage: Connection.Stage?, isCounted: Bool)? {
    if trustsProxy(peer.address) {
      return (limits.requiresProxyHeader && entrance != .admin ? .preamble : nil, false)
    }
    guard tally.admit(peer.address) else {
      refuseAddress(socket, isPlain: tls == nil || entrance == .redirect)
      return nil
    }
    return (nil, true)
  }

  func trustsProxy(_ address: IPAddress) -> Bool {
    !limits.trustedProxies.isEmpty && limits.trustedProxies.contains(address)
  }

  /// Says why, where that can be said, and closes. What has come already is read first: a socket that is closed on unread
  /// bytes is reset, and the answer with it (RFC 9112 section 9.6).
  private func refuseAddress(_ socket: Int32, isPlain: Bool) {
    metrics.refusals.add(.connectionsPerAddress)
    if isPlain {
      _ = Socket.receive(socket, into: scratch)
      // Safe because the bytes are only read during the call.
      _ = addressRefusal.withUnsafeBytes { Socket.send(socket, $0) }
      Socket.finishSending(socket)
    }
    Socket.close(socket)
  }

  /// The answer to a subscriber that has as many connections as it may.
  static func makeAddressRefusal() -> Response {
    var response = ErrorResponse.make(.rateLimited, "too many connections from this address: close some, or come later")
    response.addHeader("Retry-After", "10")
    return response
  }

  /// The number of an address that is kept as text. A handshake asks for its client's several times in a row, so the last
  /// answer is remembered.
  func number(of text: [UInt8]) -> IPAddress {
    if lastPeer.text != text { lastPeer = Peer(text: text) }
    return lastPeer.address
  }

  /// Gives back what `receive` or `claim` has counted.
  func release(_ index: UInt32) {
    guard connections[index].isCounted else { return }
    connections[index].isCounted = false
    tally.release(number(of: connections[index].address))
  }

  // MARK: PROXY protocol

  /// Reads the header with which a trusted proxy begins. Nothing behind it is touched: it may be TLS.
  func readPreamble(_ index: UInt32) {
    guard let exchange = connections[index].exchange else { return drop(index) }
    let kept = exchange.waiting.count
    let count: Int
    switch Socket.peek(connections[index].socket, into: scratch, count: ProxyHeader.bytesMax) {
    case .bytes(let seen): count = seen
    case .wouldBlock: return
    case .end, .failed: return drop(index)
    }
    exchange.waiting.append(UnsafeRawBufferPointer(rebasing: scratch[..<count]))
    let header = exchange.waiting.copy()
    switch ProxyHeader.read(header.span) {
    case .needMore: _ = take(count, index)
    case .failed:
      metrics.requestsRefused += 1
      drop(index)
    case .header(let bytes, let source):
      guard take(bytes - kept, index) else { return drop(index) }
      exchange.waiting.clear()
      begin(index, for: source)
    }
  }

  /// Reads bytes that were looked at before.
  private func take(_ count: Int, _ index: UInt32) -> Bool {
    let bytes = UnsafeMutableRawBufferPointer(rebasing: scratch[..<count])
    return Socket.receive(connections[index].socket, into: bytes) == .bytes(count)
  }

  /// Goes on as if the connection came from whom the proxy names; a header without a source is the proxy's own.
  private func begin(_ index: UInt32, for source: IPAddress?) {
    if let source {
      connections[index].address = source.text
      if !trustsProxy(source) {
        guard tally.admit(source) else {
          metrics.refusals.add(.connectionsPerAddress)
          guard connections[index].tls == nil else { return drop(index) }
          append(to: index) { ConnectionTable.makeAddressRefusal().append(to: &$0, connection: .close) }
          return finish(index)
        }
        connections[index].isCounted = true
      }
    }
    enter(connections[index].tls == nil ? .request : .handshake, index)
  }

  /// Whether a host, as a Host header has it, is the very address that the peer has connected to; `localhost` is any of
  /// the machine's own.
  func isLocalEnd(_ host: [UInt8], of id: SlabID) -> Bool {
    guard connections.contains(id), let end = Socket.localAddress(connections[id.index].socket),
      let address = end.withHostBytes({ IPAddress(networkOrder: $0) })
    else { return false }
    if String(decoding: host, as: UTF8.self).lowercased() == "localhost" { return address.isLoopback }
    let isBracketed = host.first == UInt8(ascii: "[") && host.last == UInt8(ascii: "]")
    return IPAddress(text: (isBracketed ? Array(host.dropFirst().dropLast()) : host).span) == address
  }

  // MARK: X-Forwarded-For

  /// The client that a request is from. A kept connection of a proxy carries the requests of many.
  func client(of head: RequestHead, on index: UInt32) -> [UInt8] {
    let peer = connections[index].address
    guard let list = head.list(.forwardedFor) else { return peer }
    let address = Peer(text: peer).address
    guard trustsProxy(address) else {
      // Also what a client invents for itself: only a local peer is likely to be a proxy that somebody forgot to name.
      if address.isLocal, connections[index].entrance == .main { unnamedProxy = peer }
      return peer
    }
    return ForwardedFor.client(list.span, peer: address, trusted: limits.trustedProxies).text
  }

  /// Makes a connection its client's alone, as a WebSocket is. Returns false when the client has too many already.
  func claim(_ request: Request) -> Bool {
    let index = request.connection.index
    guard connections.contains(request.connection) else { return false }
    if !connections[index].isCounted {
      guard tally.admit(number(of: request.address)) else {
        metrics.refusals.add(.connectionsPerAddress)
        return false
      }
      connections[index].isCounted = true
    }
    connections[index].address = request.address
    clientOrigins.note(number(of: request.address))
    return true
  }
}
