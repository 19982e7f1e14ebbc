import Compression
import WebSocketCore

/// Reads frames in either role, whole and cut, then inflates what came compressed (RFC 6455 section 5, RFC 7692).
final class WebSocketTarget {
  private static let messageBytesMax = 2048
  private static let inflatedBytesMax = 16 * 1024

  private let inflater = MessageInflater()
  private let deflater = MessageDeflater(windowBits: 15)

  func check(_ input: [UInt8]) throws(Broken) {
    guard let input = CutInput(input) else { return }
    let role: MessageReader.Role = input.options & 1 == 0 ? .server : .client
    let deflate = input.options & 2 != 0
    var whole = FrameTrace(role: role, messageBytesMax: Self.messageBytesMax, deflate: deflate)
    try whole.feed(Array(input.bytes))
    var cut = FrameTrace(role: role, messageBytesMax: Self.messageBytesMax, deflate: deflate)
    var cutting = input.cutting
    try cutting.pieces(of: input.bytes) { piece throws(Broken) in
      try cut.feed(piece)
      return true
    }
    try require(whole.events == cut.events, "cut frames read like whole ones: \(whole.events) or \(cut.events)")
    for message in whole.messages {
      try require(message.payload.count <= Self.messageBytesMax, "a message keeps to its limit")
      if message.isCompressed {
        try checkInflation(of: message.payload)
      } else {
        try checkRoundTrip(message)
      }
    }
  }

  private func checkInflation(of payload: [UInt8]) throws(Broken) {
    let limit = Self.inflatedBytesMax
    switch inflated(payload, bytesMax: limit) {
    case .success(let text):
      try require(text.count <= limit, "an inflated message keeps to its limit")
      // What we compress ourselves must come back as it was.
      guard let packed = deflater.deflate(text.span) else { return }
      try require(packed.count < text.count, "a compressed message is shorter than its text")
      try require((try? inflated(packed, bytesMax: text.count).get()) == text, "inflating undoes deflating")
    case .failure(.tooLarge):
      if case .success(let text) = inflated(payload, bytesMax: 8 * limit) {
        try require(text.count > limit, "only what is longer than the limit is too large")
      }
    case .failure(.corrupt): return
    }
  }

  private func inflated(_ payload: [UInt8], bytesMax: Int) -> Result<[UInt8], MessageInflater.Failure> {
    do throws(MessageInflater.Failure) {
      return .success(try inflater.inflate(payload.span, bytesMax: bytesMax))
    } catch {
      return .failure(error)
    }
  }

  /// What was read can be written, in either role, and is then read as the same.
  private func checkRoundTrip(_ message: FrameTrace.Message) throws(Broken) {
    for role in [MessageReader.Role.server, .client] {
      var wire: [UInt8] = []
      if role == .server {
        let key = MaskingKey(0x9E37_79B9 &* UInt32(message.payload.count + 1))
        FrameWriter.appendMaskedFrame(message.kind.opcode, key: key, payload: message.payload.span, to: &wire)
      } else {
        FrameWriter.appendFrame(message.kind.opcode, payload: message.payload.span, to: &wire)
      }
      var trace = FrameTrace(role: role, messageBytesMax: Self.messageBytesMax, deflate: false)
      try trace.feed(wire)
      try require(
        trace.messages.count == 1 && trace.messages[0].payload == message.payload && trace.events.count == 1,
        "what is written is read as the same")
    }
  }
}

/// Writes down what a message reader saw.
private struct FrameTrace {
  struct Message {
    let kind: MessageKind
    let isCompressed: Bool
    let payload: [UInt8]
  }

  private(set) var events: [String] = []
  private(set) var messages: [Message] = []
  private var reader: MessageReader
  private var hasEnded = false
  private let deflate: Bool

  init(role: MessageReader.Role, messageBytesMax: Int, deflate: Bool) {
    reader = MessageReader(role: role, messageBytesMax: messageBytesMax, deflate: deflate)
    self.deflate = deflate
  }

  mutating func feed(_ bytes: [UInt8]) throws(Broken) {
    var bytes = bytes
    var cursor = 0
    while true {
      let before = cursor
      var payload: [UInt8] = []
      // Safe because neither the reader nor the event keeps the pointer beyond the closure.
      let event = bytes.withUnsafeMutableBytes { buffer in
        let event = reader.next(in: buffer, from: &cursor)
        payload = Self.payload(of: event, in: buffer)
        return event
      }
      try require(cursor >= before && cursor <= bytes.count, "the cursor moves on within the buffer")
      if case .needMore = event {
        return try require(cursor == bytes.count, "who needs more has consumed everything")
      }
      try require(!hasEnded, "nothing is read behind a close frame or a breach (RFC 6455 section 5.5.1)")
      try note(event, payload)
    }
  }

  private static func payload(of event: MessageReader.Event, in buffer: UnsafeMutableRawBufferPointer) -> [UInt8] {
    switch event {
    case .needMore, .failed: []
    case .message(_, _, let payload), .ping(let payload), .pong(let payload), .close(_, let payload):
      payload.withSpan(in: buffer) { span in span.indices.map { span[$0] } }
    }
  }

  private mutating func note(_ event: MessageReader.Event, _ payload: [UInt8]) throws(Broken) {
    switch event {
    case .needMore: break
    case .message(let kind, let compressed, _):
      try require(deflate || !compressed, "nothing is compressed that was not agreed on (RFC 7692 section 6)")
      if kind == .text, !compressed {
        try require(String(validating: payload, as: UTF8.self) != nil, "text is UTF-8 (RFC 6455 section 8.1)")
      }
      messages.append(Message(kind: kind, isCompressed: compressed, payload: payload))
      events.append("message \(kind) \(compressed) \(payload)")
    case .ping:
      try require(payload.count <= 125, "a control frame has 125 bytes at most (RFC 6455 section 5.5)")
      events.append("ping \(payload)")
    case .pong:
      try require(payload.count <= 125, "a control frame has 125 bytes at most (RFC 6455 section 5.5)")
      events.append("pong \(payload)")
    case .close(let code, _):
      try require(code?.isValidOnTheWire ?? payload.isEmpty, "a close code may be sent (RFC 6455 section 7.4)")
      try require(String(validating: payload, as: UTF8.self) != nil, "a reason is UTF-8 (RFC 6455 section 5.5.1)")
      events.append("close \(code?.rawValue ?? 0) \(payload)")
      hasEnded = true
    case .failed(let code, let what):
      try require(code.isValidOnTheWire, "a breach is answered with a code that may be sent (RFC 6455 section 7.4)")
      events.append("failed \(code.rawValue) \(what)")
      hasEnded = true
    }
  }
}
