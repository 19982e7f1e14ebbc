import SocketIOCore

/// The bytes of a text.
func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// The text of bytes.
func text(_ bytes: some Collection<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

/// Packets as texts, binary ones as `<` hexadecimal digits `>`.
func shown(_ packets: EncodedPackets) -> [String] {
  packets.entries.indices.map { index in
    let packet = packets.bytes[packets.range(index)]
    guard packets.entries[index].isBinary else { return text(packet) }
    return "<" + packet.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined() + ">"
  }
}

/// Reads a packet and its arguments.
func parsed(_ packet: String) throws -> (packet: SocketPacket, arguments: PacketArguments?, text: [UInt8]) {
  let text = bytes(packet)
  let parsed = try SocketPacket(parsing: text.span)
  return (parsed, parsed.arguments, text)
}
