import Testing

@testable import WebSocketCore

@Suite("Negotiating permessage-deflate")
struct DeflateParametersTests {
  private struct Malformed: Error {}

  private func agreed(_ offers: String) throws -> DeflateParameters? {
    switch DeflateParameters.negotiate(Array(offers.utf8).span) {
    case .agreed(let parameters): return parameters
    case .declined: return nil
    case .malformed: throw Malformed()
    }
  }

  /// Gives the answer without its two constant parameters; nil when every offer was declined.
  private func answer(_ offers: String) throws -> String? {
    guard let parameters = try agreed(offers) else { return nil }
    var out: [UInt8] = []
    parameters.appendResponse(to: &out)
    let text = String(decoding: out, as: UTF8.self)
    let start = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    #expect(text.hasPrefix(start))
    return String(text.dropFirst(start.count))
  }

  @Test("accepts the plain offer and both takeover parameters (RFC 7692 section 7.1.1)")
  func plain() throws {
    #expect(try answer("permessage-deflate") == "")
    #expect(try answer("permessage-deflate; server_no_context_takeover;client_no_context_takeover") == "")
    #expect(try answer("x-webkit-deflate-frame, Permessage-Deflate") == "")
  }

  @Test("keeps the window a client asks for (RFC 7692 section 7.1.2)")
  func windows() throws {
    #expect(try answer("permessage-deflate; client_max_window_bits") == "; client_max_window_bits=15")
    #expect(try answer("permessage-deflate; client_max_window_bits=10") == "; client_max_window_bits=10")
    #expect(try answer("permessage-deflate; client_max_window_bits=8") == "; client_max_window_bits=8")
    #expect(try answer("permessage-deflate; server_max_window_bits=\"9\"") == "; server_max_window_bits=9")
    #expect(
      try answer("permessage-deflate;server_max_window_bits = 15 ; client_max_window_bits=\"1\\2\"")
        == "; server_max_window_bits=15; client_max_window_bits=12")
    let parameters = try #require(try agreed("permessage-deflate; server_max_window_bits=11"))
    #expect(parameters.serverWindowBits == 11)
    #expect(parameters.clientWindowBits == nil)
  }

  @Test(
    "declines an offer with unknown, repeated or wrong parameters (RFC 7692 section 7.1)",
    arguments: [
      "server_max_window_bits", "server_max_window_bits=7", "server_max_window_bits=16", "server_max_window_bits=010",
      "server_max_window_bits=8", "client_max_window_bits=0", "client_max_window_bits=99", "client_max_window_bits=1e",
      "server_no_context_takeover=1", "client_no_context_takeover=yes", "what", "what=ever",
      "server_no_context_takeover; server_no_context_takeover",
      "client_no_context_takeover; client_no_context_takeover",
      "a=\"b c\"", "a=\"\"", "server_max_window_bits=\"\"",
      "server_max_window_bits=10; server_max_window_bits=10", "client_max_window_bits; client_max_window_bits=10",
    ])
  func declines(parameters: String) throws {
    #expect(try answer("permessage-deflate; \(parameters)") == nil)
    // RFC 7692 section 5: the next offer is the client's fallback.
    #expect(
      try answer("permessage-deflate; \(parameters), permessage-deflate; server_max_window_bits=13")
        == "; server_max_window_bits=13")
  }

  @Test("prefers the first offer it can accept (RFC 7692 section 5)")
  func order() throws {
    #expect(
      try answer("permessage-deflate; server_max_window_bits=10, permessage-deflate") == "; server_max_window_bits=10")
    #expect(try answer("") == nil)
    #expect(try answer(" , ,foo; bar=baz") == nil)
  }

  @Test(
    "finds a value outside the grammar malformed (RFC 6455 section 9.1)",
    arguments: [
      "permessage-deflate;", "permessage-deflate; =1", "permessage-deflate; client_max_window_bits=",
      "permessage-deflate client_max_window_bits", "; a", "permessage-deflate; a=\"b", "permessage-deflate, \"x\"",
      "permessage-deflate; a=b=c", "permessage-deflate, é",
    ])
  func malformed(offers: String) {
    #expect(DeflateParameters.negotiate(Array(offers.utf8).span) == .malformed)
  }
}
