import HTTPCore
import Server
import WebSocketCore

/// Judges opening handshakes and reads the answer as a client would (RFC 6455 section 4, RFC 7692 section 7.1).
enum HandshakeTarget {
  static func check(_ input: [UInt8]) throws(Broken) {
    try checkOffers(input)
    var parser = RequestParser()
    var cursor = 0
    guard case .request(let head) = parser.next(in: input.span, from: &cursor) else { return }
    let request = Handshake.Request(head)
    switch Handshake.judge(request, deflate: true) {
    case .rejected(let rejection):
      let isRefused = request.extensions.map { DeflateParameters.negotiate($0.span) == .malformed } ?? false
      var plain = request
      plain.extensions = nil
      plain.protocols = nil
      if case .accepted = Handshake.judge(plain, deflate: true) {
        try require(isRefused, "no offer within the grammar fails a handshake (RFC 6455 section 9.1)")
      }
      try require([400, 405, 426].contains(rejection.status), "a handshake is refused with 400, 405 or 426")
    case .accepted(let acceptance):
      try require(acceptance.challenge.count == 60, "the challenge is a key of 24 bytes and the GUID of 36")
      try checkAnswer(acceptance)
      guard case .accepted(let plain) = Handshake.judge(request, deflate: false) else {
        throw Broken(description: "whether compression is wanted does not decide about a handshake")
      }
      try require(plain.deflate == nil, "what the server does not want is not agreed on")
      try require(plain.subprotocols == acceptance.subprotocols, "compression does not decide about subprotocols")
      if let answer = acceptance.subprotocols.answer {
        try require(
          answer.elementsEqual("roost".utf8) || answer.elementsEqual("bearer".utf8), "what is answered is a known name")
      }
    }
  }

  /// The negotiation itself, on bytes that no header would let through too.
  private static func checkOffers(_ offers: [UInt8]) throws(Broken) {
    guard case .agreed(let agreed) = DeflateParameters.negotiate(offers.span) else { return }
    try require((9...15).contains(agreed.serverWindowBits), "the server's window is one that zlib writes")
    try require(agreed.clientWindowBits.map { (8...15).contains($0) } ?? true, "the client's window has 8 to 15 bits")
    var answer: [UInt8] = []
    agreed.appendResponse(to: &answer)
    guard case .agreed(let again) = DeflateParameters.negotiate(answer.span) else {
      throw Broken(description: "the answer is an offer that is taken")
    }
    try require(again.serverWindowBits == agreed.serverWindowBits, "the answer states what was agreed on")
  }

  private static func checkAnswer(_ acceptance: Handshake.Acceptance) throws(Broken) {
    var bytes: [UInt8] = []
    Handshake.appendResponse(acceptance, accept: Array("AAAAAAAAAAAAAAAAAAAAAAAAAAA=".utf8).span, to: &bytes)
    var parser = ResponseParser(bodyBytesMax: 0)
    var cursor = 0
    guard case .response(let response) = parser.next(in: bytes.span, from: &cursor), cursor == bytes.count else {
      throw Broken(description: "the answer is one response")
    }
    let extras = (acceptance.deflate == nil ? 0 : 1) + (acceptance.subprotocols.answer == nil ? 0 : 1)
    try require(
      response.status == 101 && response.headers.count == 3 + extras, "no line of the answer is the client's")
  }
}
