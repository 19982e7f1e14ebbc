/// Holds what a client's list of subprotocols came to (RFC 6455 section 1.9).
///
/// Two are known: `roost`, this server's own, and `bearer`, whose next element is a token, for browsers, which cannot send
/// an Authorization header with a WebSocket. Any others are not answered: the client decides whether it goes on without.
public struct Subprotocols: Equatable, Sendable {
  /// What the handshake answers: the first known name; nil when there is none.
  public private(set) var answer: [UInt8]?
  /// The token behind `bearer`, as sent; nil when there is none.
  public private(set) var token: [UInt8]?

  static let own = Array("roost".utf8)
  static let bearer = Array("bearer".utf8)

  /// Reads the value of Sec-WebSocket-Protocol, its lines joined with commas; nil: the header is absent.
  ///
  /// Never fails: an element that is no token is a subprotocol that nobody knows. The element behind `bearer` is never
  /// taken for a name.
  public init(offered: [UInt8]?) {
    guard let offered else { return }
    var isToken = false
    for element in offered.split(separator: UInt8(ascii: ",")) {
      let name = Self.trimmed(element)
      if name.isEmpty { continue }
      if isToken {
        isToken = false
        if token == nil { token = Array(name) }
        continue
      }
      isToken = name.elementsEqual(Self.bearer)
      if answer == nil, isToken || name.elementsEqual(Self.own) { answer = Array(name) }
    }
  }

  private static func trimmed(_ element: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let isSpace = { (byte: UInt8) in byte == 0x20 || byte == 0x09 }
    var rest = element.drop(while: isSpace)
    while let last = rest.last, isSpace(last) { rest.removeLast() }
    return rest
  }
}
