import AddressCore
import HTTPCore
import LoopCore
import Realtime
import TimeCore

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

/// The address at the other end of each connection, the peer's own or the client's that a trusted proxy names, and how
/// many connections it may have.
final class PeerGuard {
  private let trustedProxies: TrustedProxies
  private let metrics: Metrics
  private var limiter: ConnectionLimiter
  private var handshakes: HandshakeRateLimiter
  /// Peers that were accepted lately, each at a place that its address chooses.
  private var recentPeers = [Peer?](repeating: nil, count: 256)
  /// The peer whose number was asked for last.
  private var lastPeer = Peer(text: [])
  /// A local peer that sent `X-Forwarded-For` without being trusted: probably a proxy that nobody has named.
  private(set) var unnamedProxy: [UInt8]?
  /// The kinds of addresses that WebSockets were opened from.
  private(set) var clientOrigins = ClientOrigins()

  init(_ limits: ConnectionLimits, metrics: Metrics, now: Instant) {
    trustedProxies = limits.trustedProxies
    self.metrics = metrics
    limiter = ConnectionLimiter(max: limits.connectionsPerAddress)
    handshakes = HandshakeRateLimiter(limits.handshakesPerSecond, now: now)
  }

  /// The peer's numeric address. Peers that come from one address, behind a proxy all of them, share one text.
  func peer(_ address: Address) -> Peer {
    let number = address.withHostBytes { IPAddress(networkOrder: $0) } ?? IPAddress(high: 0, low: 0)
    // A client that chooses addresses which meet at one place gains nothing: each then has a text of its own.
    let mixed = (number.high ^ number.low) &* 0x9E37_79B9_7F4A_7C15
    let place = Int(mixed >> 32) & (recentPeers.count - 1)
    if let recent = recentPeers[place], recent.address == number { return recent }
    let peer = Peer(number)
    recentPeers[place] = peer
    return peer
  }

  /// The number of an address that is kept as text. A handshake asks for its client's several times in a row, so the last
  /// answer is remembered.
  func number(of text: [UInt8]) -> IPAddress {
    if lastPeer.text != text { lastPeer = Peer(text: text) }
    return lastPeer.address
  }

  func isTrustedProxy(_ address: IPAddress) -> Bool {
    !trustedProxies.isEmpty && trustedProxies.contains(address)
  }

  /// Counts a connection of an address, or returns false, and counts the refusal, when the address has too many.
  func admit(_ address: IPAddress) -> Bool {
    let isAdmitted = limiter.admit(address)
    if !isAdmitted { metrics.refusals.add(.connectionsPerAddress) }
    return isAdmitted
  }

  /// Returns whether a handshake may go on at `now`.
  func admitsHandshake(isLocal: Bool, at now: Instant) -> Bool { handshakes.admit(isLocal: isLocal, at: now) }

  /// Counts a connection whose PROXY protocol header cannot be read.
  func noteBadProxyHeader() { metrics.requestsRefused += 1 }

  /// Gives back what `admit` or `claim` has counted.
  func release(_ connection: inout Connection) {
    guard connection.isCounted else { return }
    connection.isCounted = false
    limiter.release(number(of: connection.address))
  }

  /// Gives back what `admit` has counted for an address.
  func release(_ address: IPAddress) { limiter.release(address) }

  /// When a client shall come again that has as many connections as it may.
  static let connectionRetrySeconds: StaticString = "10"

  /// The answer to a subscriber that has as many connections as it may.
  static func makeAddressRefusal() -> Response {
    var response = ErrorResponse.make(.rateLimited, "too many connections from this address: close some, or come later")
    response.addHeader("Retry-After", connectionRetrySeconds)
    return response
  }

  /// The client that a request is from. A kept connection of a proxy carries the requests of many.
  ///
  /// - Parameters:
  ///   - peer: the address that the request's connection has.
  ///   - role: of the listener that the connection came through.
  func client(of head: RequestHead, from peer: [UInt8], _ role: ListenerRole) -> [UInt8] {
    guard let list = head.list(.forwardedFor) else { return peer }
    let address = Peer(text: peer).address
    guard isTrustedProxy(address) else {
      // Also what a client invents for itself: only a local peer is likely to be a proxy that nobody has named.
      if address.isLocal, role == .main { unnamedProxy = peer }
      return peer
    }
    return ForwardedFor.client(list.span, peer: address, trusted: trustedProxies).text
  }

  /// Makes a connection its client's alone, as a WebSocket is. Returns false when the client has too many already.
  func claim(_ request: Request, _ connection: inout Connection) -> Bool {
    if !connection.isCounted {
      guard admit(number(of: request.address)) else { return false }
      connection.isCounted = true
    }
    connection.address = request.address
    clientOrigins.note(number(of: request.address))
    return true
  }

  /// Gives memory back after a crowd has left.
  func shrink() { limiter.shrink() }
}
