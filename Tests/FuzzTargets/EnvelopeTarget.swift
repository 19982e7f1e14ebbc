import ClientProtocol
import Realtime

/// Reads the two envelopes: a client's binary message, and what travels through a broker.
enum EnvelopeTarget {
  static func check(_ bytes: [UInt8]) throws(Broken) {
    try checkBinary(bytes)
    try checkBroker(bytes)
    if let position = Position(text: bytes.span) {
      var text: [UInt8] = []
      position.append(to: &text)
      try require(text == bytes, "a position has one spelling")
    }
    try checkStreamID(bytes)
  }

  private static func checkStreamID(_ bytes: [UInt8]) throws(Broken) {
    let rooms = ["r", "chat:1", "news"].map { Array($0.utf8) }
    let positions = StreamID.positions(in: bytes.span, of: rooms)
    try require(positions.count == rooms.count, "an id has a position of every room")
    var id: [UInt8] = []
    StreamID.begin(&id)
    for (room, position) in zip(rooms, positions) {
      StreamID.append(StreamID.part(of: room.span, at: position), to: &id)
    }
    try require(StreamID.positions(in: id.span, of: rooms) == positions, "what is written is read as the same")
  }

  private static func checkBinary(_ bytes: [UInt8]) throws(Broken) {
    guard let envelope = try? BinaryEnvelope(parsing: bytes.span) else { return }
    let room = Array(bytes[envelope.room])
    try require(RoomName.isValid(room.span), "a room has a valid name")
    try require(envelope.payload.upperBound == bytes.count, "the payload ends with the message")
    var output: [UInt8] = []
    let user = Array("ann".utf8)
    try require(
      BinaryEnvelope.appendHeader(room: room.span, user: user.span, to: &output), "a room that was read can be written")
    output += bytes[envelope.payload]
    let again = try? BinaryEnvelope(parsing: output.span)
    let announced = [UInt8(user.count)] + user
    try require(
      again.map { output[$0.room] == bytes[envelope.room] && output[$0.payload].starts(with: announced) } ?? false,
      "what is written is read as the same")
  }

  private static func checkBroker(_ bytes: [UInt8]) throws(Broken) {
    guard let envelope = Envelope(bytes.span) else { return }
    try require(envelope.body.upperBound == bytes.count, "the body ends with the envelope")
    var line: [UInt8] = [envelope.kind.rawValue]
    line += [0x20] + bytes[envelope.timestamp] + [0x20] + bytes[envelope.origin]
    if !envelope.trace.isEmpty { line += [UInt8(ascii: ";")] + bytes[envelope.trace] }
    line += [0x20] + bytes[envelope.user]
    try require(line + [0x0A] + bytes[envelope.body] == bytes, "an envelope is its facts and its body")
    // What we write ourselves from the facts reads as the same, when they are of the kind that we write.
    let user = Array(bytes[envelope.user])
    var written: [UInt8] = []
    Envelope.begin(envelope.kind, timestamp: 1_700_000_000_000, origin: [], userJSON: user, into: &written)
    written += bytes[envelope.body]
    guard let again = Envelope(written.span) else { throw Broken(description: "what is written can be read") }
    try require(
      Array(written[again.user]) == user && written[again.body] == bytes[envelope.body],
      "what is written is read as the same")
  }
}
