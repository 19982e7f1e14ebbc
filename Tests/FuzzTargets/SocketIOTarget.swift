import JSONCore
import SocketIOCore

/// Reads what Socket.IO clients send: the body of a polling request, a packet with attachments; and a native message that they
/// get. The first byte says which.
enum SocketIOTarget {
  static func check(_ input: [UInt8]) throws(Broken) {
    guard let first = input.first else { return }
    let rest = Array(input.dropFirst())
    switch first % 3 {
    case 0: try checkPayload(rest)
    case 1: try checkPacket(rest)
    default: try checkNative(rest)
    }
  }

  /// A body is its packets with separators between them, nothing more and nothing less.
  private static func checkPayload(_ body: [UInt8]) throws(Broken) {
    var reader = EnginePayloadReader(body.span)
    var again: [UInt8] = []
    while true {
      let next: EnginePacket?
      do throws(PacketFault) { next = try reader.next() } catch { return }
      guard let packet = next else { break }
      if !again.isEmpty { again.append(EnginePayloadReader.separator) }
      again.append(packet.isBase64 ? UInt8(ascii: "b") : packet.type.digit)
      again += body[packet.data]
      if !packet.isBase64, packet.type == .message { try checkPacket(Array(body[packet.data])) }
    }
    try require(again == body, "a body that is read is its packets")
  }

  private static func checkPacket(_ text: [UInt8]) throws(Broken) {
    guard JSONScanner.isValidUTF8(text.span) else { return }
    var assembler = PacketAssembler(bytesMax: 1 << 16)
    do {
      if let packet = try assembler.addText(text.span) {
        return try checkArguments(of: packet, in: text, attachments: [])
      }
    } catch let error as Broken {
      throw error
    } catch {
      return
    }
    var number: UInt8 = 0
    while assembler.isWaiting {
      number += 1
      guard let whole = try? assembler.addBinary([number, 0xFF].span) else { continue }
      try require(whole.attachments.count == whole.packet.attachmentCount, "a packet is whole with its attachments")
      try checkArguments(of: whole.packet, in: whole.text, attachments: whole.attachments)
    }
  }

  /// What is emitted reaches others as an event that a decoder takes, and as it was emitted.
  private static func checkArguments(
    of packet: SocketPacket, in text: [UInt8], attachments: [[UInt8]]
  ) throws(Broken) {
    guard let arguments = packet.arguments else {
      return try require(packet.type != .event && packet.type != .binaryEvent, "an event has arguments")
    }
    guard packet.type.isEvent else { return }
    let name = EventName(of: arguments, in: text.span)
    if case .operation(let operation) = name {
      var written: [UInt8] = []
      let problem = EventMapping.appendOperation(
        operation, arguments, in: text.span, attachments: attachments,
        namespace: text.span.extracting(packet.namespace),
        to: &written)
      try require(problem == nil ? isObject(written) : written.isEmpty, "an operation is one JSON object")
    }
    var native: [UInt8] = [UInt8(ascii: "{")]
    EventMapping.appendMembers(of: arguments, in: text.span, attachments: attachments, to: &native)
    native.append(UInt8(ascii: "}"))
    try require(isObject(native), "an event is members of a JSON object")
    let wentAsEvent = try checkNative(native)
    if case .ordinary = name, attachments.isEmpty, !text.contains(UInt8(ascii: "$")) {
      try require(wentAsEvent, "an ordinary event arrives as one")
    }
  }

  /// Whatever a native message is, decoders take what it becomes.
  @discardableResult
  private static func checkNative(_ native: [UInt8]) throws(Broken) -> Bool {
    guard JSONScanner.isValidUTF8(native.span), isObject(native) else { return false }
    var output = EncodedPackets()
    let namespace: [UInt8] = [UInt8(ascii: "/"), UInt8(ascii: "n")]
    let isEvent = EventMapping.appendEvent(
      native: native.span, namespace: namespace.span, fallback: "message", offset: [UInt8(ascii: "1")], to: &output)
    let packet = Array(output.bytes[output.range(0)].dropFirst())
    var assembler = PacketAssembler(bytesMax: Int.max)
    do throws(PacketFault) {
      let plain = try assembler.addText(packet.span)
      try require0(plain == nil || output.entries.count == 1)
      for index in output.entries.indices.dropFirst() {
        let attachment = Array(output.bytes[output.range(index)])
        let whole = try assembler.addBinary(attachment.span)
        try require0((whole != nil) == (index == output.entries.count - 1))
      }
    } catch {
      // One level of nesting more than a packet may have is what a whole message in an event can come to.
      try require(error == .invalidPayload && !isEvent, "decoders take what is written: \(error.text)")
    }
    return isEvent
  }

  private static func require0(_ kept: Bool) throws(PacketFault) {
    if !kept { throw .invalidAttachmentCount }
  }

  private static func isObject(_ text: [UInt8]) -> Bool {
    var scanner = JSONScanner(text.span)
    do throws(JSONError) {
      while try scanner.nextMember() != nil {}
      return true
    } catch {
      return false
    }
  }
}
