import JSONCore
import SocketIOCore
import WebSocketCore

extension EncodedPackets {
  /// Appends the packets as WebSocket frames.
  func appendFrames(to output: inout [UInt8]) { appendFrames(0..<entries.count, to: &output) }

  /// Appends some of the packets as WebSocket frames.
  func appendFrames(_ packets: Range<Int>, to output: inout [UInt8]) {
    for index in packets {
      FrameWriter.appendFrame(
        entries[index].isBinary ? .binary : .text, payload: bytes.span.extracting(range(index)), to: &output)
    }
  }

  /// The frames of packets that were made for polls.
  static func frames(ofPayload payload: [UInt8]) -> [UInt8] {
    var frames: [UInt8] = []
    frames.reserveCapacity(payload.count + 16)
    for packet in payload.split(separator: EnginePayloadReader.separator) {
      let text = payload.span.extracting(packet.startIndex..<packet.endIndex)
      if text[0] == UInt8(ascii: "b"), let bytes = JSONCore.Base64.decode(text.extracting(1..<text.count)) {
        FrameWriter.appendFrame(.binary, payload: bytes.span, to: &frames)
      } else {
        FrameWriter.appendFrame(.text, payload: text, to: &frames)
      }
    }
    return frames
  }
}
