import Compression
import Glibc
import WebSocketCore

/// The node's compressors: one for all connections of a window size, made when first needed.
/// Confined to the thread that created it.
final class MessageCompression {
  /// The window of messages that are compressed once for a whole room. A connection that asked for a smaller window gets
  /// room traffic uncompressed, which RFC 7692 section 6.1 always allows.
  static let sharedWindowBits: UInt8 = 15

  let inflater = MessageInflater()
  private var deflaters = [MessageDeflater?](repeating: nil, count: 16)
  /// Payloads that were compressed, those among them that did not become shorter.
  private(set) var deflatedCount: UInt64 = 0
  /// The last large payload and what it became: many may be answered with the same history, and comparing it costs a hundredth
  /// of compressing it.
  private var lastLarge: (payload: [UInt8], windowBits: UInt8, deflated: [UInt8]?)?
  private static let largeBytesMin = 16 << 10

  /// Returns the compressed payload, or nil when it should go as it is.
  ///
  /// - Parameter windowBits: 9 to 15; 0: compression was not agreed on.
  func deflate(_ payload: Span<UInt8>, windowBits: UInt8) -> [UInt8]? {
    guard windowBits >= 9, payload.count >= MessageDeflater.payloadBytesMin else { return nil }
    let deflater = deflaters[Int(windowBits)] ?? MessageDeflater(windowBits: Int32(windowBits))
    deflaters[Int(windowBits)] = deflater
    guard payload.count >= MessageCompression.largeBytesMin else {
      deflatedCount += 1
      return deflater.deflate(payload)
    }
    if let lastLarge, lastLarge.windowBits == windowBits, isEqual(payload, lastLarge.payload) {
      return lastLarge.deflated
    }
    deflatedCount += 1
    let deflated = deflater.deflate(payload)
    lastLarge = ([UInt8](copying: payload), windowBits, deflated)
    return deflated
  }

  private func isEqual(_ payload: Span<UInt8>, _ other: [UInt8]) -> Bool {
    guard payload.count == other.count else { return false }
    // Safe because both have as many bytes, and not none.
    return payload.withUnsafeBufferPointer { memcmp($0.baseAddress!, other, other.count) == 0 }
  }

  /// Gives memory back after a crowd has left.
  func shrink() { lastLarge = nil }

  /// Returns one message as a frame, compressed when it is worth it.
  func frame(_ opcode: Opcode, _ payload: Span<UInt8>, windowBits: UInt8) -> [UInt8] {
    var frame: [UInt8] = []
    if let small = deflate(payload, windowBits: windowBits) {
      FrameWriter.appendFrame(opcode, rsv1: true, payload: small.span, to: &frame)
    } else {
      FrameWriter.appendFrame(opcode, payload: payload, to: &frame)
    }
    return frame
  }
}

/// One message as frames for many connections: one block for each window size, shared by all that have agreed on it.
struct SharedFrames {
  private let opcode: Opcode
  /// By window size in bits; 0 for connections without compression.
  private var blocks = [[UInt8]?](repeating: nil, count: 16)

  init(_ opcode: Opcode) { self.opcode = opcode }

  /// Returns the frame for one window size; makes it at the first call. Every call is about the same message.
  mutating func block(_ message: Span<UInt8>, windowBits: UInt8, _ compression: MessageCompression) -> [UInt8] {
    if let block = blocks[Int(windowBits)] { return block }
    let block = compression.frame(opcode, message, windowBits: windowBits)
    blocks[Int(windowBits)] = block
    return block
  }
}
