@testable import WebSocketCore

/// Holds an event with its payload copied out, so that readings can be compared.
enum Seen: Equatable {
  case message(MessageKind, compressed: Bool, [UInt8])
  case ping([UInt8])
  case pong([UInt8])
  case close(UInt16?, [UInt8])
  case failed(UInt16)
}

/// Makes a frame by hand, apart from `FrameWriter`, so that a mistake in one does not hide behind the other.
func frame(
  _ opcode: UInt8, _ payload: [UInt8] = [], fin: Bool = true, rsv: UInt8 = 0, key: [UInt8]? = [0x37, 0xFA, 0x21, 0x3D],
  lengthForm: Int? = nil
) -> [UInt8] {
  var out = [(fin ? 0x80 : 0) | rsv << 4 | opcode]
  let mask: UInt8 = key == nil ? 0 : 0x80
  let form = lengthForm ?? (payload.count < 126 ? 0 : payload.count < 65536 ? 2 : 8)
  switch form {
  case 0: out.append(mask | UInt8(payload.count))
  case 2: out += [mask | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
  default: out += [mask | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
  }
  guard let key else { return out + payload }
  return out + key + payload.enumerated().map { $1 ^ key[$0 % 4] }
}

/// Makes a close frame.
func close(_ code: UInt16, _ reason: [UInt8] = []) -> [UInt8] {
  frame(0x8, [UInt8(code >> 8), UInt8(code & 0xFF)] + reason)
}

/// Makes a reader of a server.
func server(max: Int = 1 << 20, deflate: Bool = false) -> MessageReader {
  MessageReader(role: .server, messageBytesMax: max, deflate: deflate)
}

/// Reads one piece to its end; `inPlace` counts the payloads that were not copied.
func read(_ piece: [UInt8], _ reader: inout MessageReader, inPlace: inout Int) -> [Seen] {
  var piece = piece
  return piece.withUnsafeMutableBytes { buffer in
    var seen: [Seen] = []
    var cursor = 0
    func bytes(_ payload: MessageReader.Payload) -> [UInt8] {
      if case .inPlace = payload { inPlace += 1 }
      return payload.withSpan(in: buffer) { span in span.withUnsafeBufferPointer { Array($0) } }
    }
    while true {
      switch reader.next(in: buffer, from: &cursor) {
      case .needMore:
        precondition(cursor == buffer.count, "needMore left bytes behind")
        return seen
      case .message(let kind, let compressed, let payload):
        seen.append(.message(kind, compressed: compressed, bytes(payload)))
      case .ping(let payload): seen.append(.ping(bytes(payload)))
      case .pong(let payload): seen.append(.pong(bytes(payload)))
      case .close(let code, let reason): seen.append(.close(code?.rawValue, bytes(reason)))
      case .failed(let code, _): seen.append(.failed(code.rawValue))
      }
    }
  }
}

/// Reads pieces one after the other.
func read(_ pieces: [[UInt8]], _ reader: MessageReader = server()) -> [Seen] {
  var reader = reader
  var inPlace = 0
  return pieces.flatMap { read($0, &reader, inPlace: &inPlace) }
}

/// Cuts bytes into single ones.
func single(_ bytes: [UInt8]) -> [[UInt8]] { bytes.map { [$0] } }
