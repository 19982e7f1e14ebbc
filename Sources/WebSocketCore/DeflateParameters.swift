/// Holds what permessage-deflate was agreed on (RFC 7692 section 7.1).
///
/// Neither side keeps its window between messages: the answer always says so, which lets one compressed copy of a
/// message serve every member and leaves an idle connection without zlib's memory.
public struct DeflateParameters: Hashable, Sendable {
  /// Largest window the server may compress with, as a power of two, 9 to 15.
  public let serverWindowBits: UInt8
  /// Whether the answer has to state `serverWindowBits`, because the client asked for a bound.
  let statesServerWindow: Bool
  /// Largest window the client will compress with, 8 to 15; nil when the client did not say that it can bound it.
  ///
  /// A reader inflates with 15 whatever this says: a larger window reads what a smaller one wrote.
  public let clientWindowBits: UInt8?

  /// Says what a client's offers came to.
  ///
  /// Three cases and no error, because `try?` would make one of the last two.
  public enum Negotiation: Equatable, Sendable {
    case agreed(DeflateParameters)
    /// There is no offer that the server takes: no compression, which is no fault.
    case declined
    /// The value does not follow the grammar (RFC 6455 section 9.1).
    case malformed
  }

  private struct Malformed: Error {}

  /// Chooses the first acceptable offer of a `Sec-WebSocket-Extensions` value.
  ///
  /// An offer with an unknown or repeated parameter or a bad value is declined and the next one tried (RFC 7692 section
  /// 7.1). `server_max_window_bits=8` is declined too: zlib writes no raw deflate with a window of 256 bytes.
  public static func negotiate(_ offers: Span<UInt8>) -> Negotiation {
    do throws(Malformed) {
      return try choose(offers).map(Negotiation.agreed) ?? .declined
    } catch {
      return .malformed
    }
  }

  private static func choose(_ offers: Span<UInt8>) throws(Malformed) -> DeflateParameters? {
    var text = TokenText(offers)
    var chosen: DeflateParameters?
    // Read to the end even when an offer was chosen, because a broken end still breaks the handshake.
    while true {
      while text.skip(UInt8(ascii: ",")) {}
      if text.isAtEnd { return chosen }
      guard let name = text.token() else { throw Malformed() }
      var offer = Offer()
      while text.skip(UInt8(ascii: ";")) { try offer.read(&text) }
      guard text.skip(UInt8(ascii: ",")) || text.isAtEnd else { throw Malformed() }
      if chosen == nil, name.matches("permessage-deflate") { chosen = offer.accepted }
    }
  }

  /// Writes the value of the answer's `Sec-WebSocket-Extensions` header (RFC 7692 section 7.1).
  public func appendResponse(to out: inout [UInt8]) {
    out.append(literal: "permessage-deflate; server_no_context_takeover; client_no_context_takeover")
    if statesServerWindow {
      out.append(literal: "; server_max_window_bits=")
      Self.appendNumber(serverWindowBits, &out)
    }
    if let clientWindowBits {
      out.append(literal: "; client_max_window_bits=")
      Self.appendNumber(clientWindowBits, &out)
    }
  }

  private static func appendNumber(_ number: UInt8, _ out: inout [UInt8]) {
    if number >= 10 { out.append(UInt8(ascii: "0") + number / 10) }
    out.append(UInt8(ascii: "0") + number % 10)
  }
}

extension DeflateParameters {
  /// Gathers the parameters of one offer.
  private struct Offer {
    private var isValid = true
    private var serverTakeover = true
    private var clientTakeover = true
    private var serverWindowBits: UInt8?
    private var offersClientWindow = false
    private var clientWindowBits: UInt8 = 15

    /// What the server answers to the offer; nil when it declines it.
    var accepted: DeflateParameters? {
      guard isValid, serverWindowBits != 8 else { return nil }
      return DeflateParameters(
        serverWindowBits: serverWindowBits ?? 15, statesServerWindow: serverWindowBits != nil,
        clientWindowBits: offersClientWindow ? clientWindowBits : nil)
    }

    /// Reads one parameter: a token, and perhaps `=` with a token or a quoted string (RFC 6455 section 9.1). A quoted
    /// string that holds no token is understood well enough to be declined.
    mutating func read(_ text: inout TokenText) throws(Malformed) {
      guard let name = text.token() else { throw Malformed() }
      var value: [UInt8]?
      if text.skip(UInt8(ascii: "=")) {
        guard let text = text.quoted() ?? text.token() else { throw Malformed() }
        isValid = isValid && !text.isEmpty && text.allSatisfy(TokenText.isTokenByte)
        value = text
      }
      if name.matches("server_no_context_takeover") {
        isValid = isValid && serverTakeover && value == nil
        serverTakeover = false
      } else if name.matches("client_no_context_takeover") {
        isValid = isValid && clientTakeover && value == nil
        clientTakeover = false
      } else if name.matches("server_max_window_bits") {
        let bits = value.flatMap(Self.windowBits)
        isValid = isValid && serverWindowBits == nil && bits != nil
        serverWindowBits = bits
      } else if name.matches("client_max_window_bits") {
        // RFC 7692 section 7.1.2.2: in an offer the value may be absent, which leaves the choice to the server.
        let bits = value == nil ? 15 : value.flatMap(Self.windowBits)
        isValid = isValid && !offersClientWindow && bits != nil
        offersClientWindow = true
        clientWindowBits = bits ?? 15
      } else {
        isValid = false
      }
    }

    /// Reads a decimal from 8 to 15 without leading zeros (RFC 7692 section 7.1.2).
    private static func windowBits(_ value: [UInt8]) -> UInt8? {
      if value.count == 1, value[0] == UInt8(ascii: "8") || value[0] == UInt8(ascii: "9") { return value[0] - 0x30 }
      guard value.count == 2, value[0] == UInt8(ascii: "1") else { return nil }
      guard value[1] >= UInt8(ascii: "0"), value[1] <= UInt8(ascii: "5") else { return nil }
      return 10 + value[1] - 0x30
    }
  }
}
