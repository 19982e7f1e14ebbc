import JSONCore

/// Translates between events of Socket.IO and native messages: `"event":E,"args":[…]`, binary arguments as
/// `{"$binary":base64}` wherever they stand.
public enum EventMapping {
  /// Appends the members `"event":E,"args":[…]` of the native message that an ordinary event becomes, with neither braces
  /// nor a comma at either end.
  ///
  /// - Parameter text: what the arguments are ranges of.
  public static func appendMembers(
    of arguments: PacketArguments, in text: Span<UInt8>, attachments: [[UInt8]], to output: inout [UInt8]
  ) {
    guard let name = arguments.name else { return }
    output.append("\"event\":")
    output.append(copying: text.extracting(name.value))
    output.append(",\"args\":[")
    Placeholders.appendResolved(text.extracting(arguments.list), attachments: attachments, to: &output)
    output.append(UInt8(ascii: "]"))
  }

  /// Adds a native message, a whole JSON object, as the event that Socket.IO clients get: its `event` with its `args` when it
  /// has both (a string that may carry messages, an array), with each `{"$binary":base64}` as an attachment; else `fallback`
  /// with the object as the one argument, as it stands.
  ///
  /// An event that official decoders would refuse, for its name, its number of attachments or objects that look like
  /// placeholders, goes as `fallback` too.
  ///
  /// - Parameters:
  ///   - namespace: of the connections that it is sent to; empty or `/`: the main one.
  ///   - fallback: `message`, `direct`, `broadcast`, or the name of the server's event.
  ///   - offset: appended as one more argument, a string that needs no escapes; nil: none. A client with a `pid` takes the last
  ///     argument of any event, if it is a string, for its offset: give such clients one with every message.
  /// - Returns: whether it went as its own event.
  @discardableResult
  public static func appendEvent(
    native message: Span<UInt8>, namespace: Span<UInt8>, fallback: StaticString, offset: [UInt8]? = nil,
    to output: inout EncodedPackets
  ) -> Bool {
    guard let event = NativeEvent(of: message) else {
      PacketWriter.appendEvent(fallback, argument: message, namespace: namespace, offset: offset, to: &output)
      return false
    }
    guard event.hasBinary else {
      output.addText { bytes in
        PacketWriter.appendHead(.event, namespace: namespace, to: &bytes)
        bytes.append(UInt8(ascii: "["))
        bytes.append(copying: message.extracting(event.name))
        PacketWriter.appendArguments(message.extracting(event.list), offset: offset, to: &bytes)
        bytes.append(UInt8(ascii: "]"))
      }
      return true
    }
    guard let attachments = Attachments(of: message.extracting(event.list)) else {
      PacketWriter.appendEvent(fallback, argument: message, namespace: namespace, offset: offset, to: &output)
      return false
    }
    output.addText { bytes in
      let type = attachments.ends.isEmpty ? SocketPacketType.event : .binaryEvent
      PacketWriter.appendHead(type, attachments: attachments.ends.count, namespace: namespace, to: &bytes)
      bytes.append(UInt8(ascii: "["))
      bytes.append(copying: message.extracting(event.name))
      bytes.append(UInt8(ascii: ","))
      attachments.appendExtracted(message.extracting(event.list), to: &bytes)
      PacketWriter.appendOffset(offset, to: &bytes)
      bytes.append(UInt8(ascii: "]"))
    }
    for index in attachments.ends.indices {
      output.addBinary(attachments.bytes.span.extracting(attachments.range(index)))
    }
    return true
  }
}

/// Where the name and the arguments of an event stand in a native message.
private struct NativeEvent {
  /// With its quotes.
  let name: Range<Int>
  /// Without brackets.
  let list: Range<Int>
  /// Whether `$binary` stands somewhere among them.
  let hasBinary: Bool

  /// Nil: the message is no event.
  init?(of message: Span<UInt8>) {
    var name: JSONMember?
    var arguments: JSONMember?
    var scanner = JSONScanner(message)
    while let member = scanner.nextValidMember() {
      if member.key.equals("event", in: message) {
        name = member
      } else if member.key.equals("args", in: message) {
        arguments = member
      }
    }
    guard let name, let arguments, arguments.kind == .array, let string = name.string,
      EventName(string, in: message).mayCarryMessages
    else { return nil }
    self.name = name.value
    list = Self.trimmed(arguments.value.lowerBound + 1..<arguments.value.upperBound - 1, of: message)
    hasBinary = Self.contains("$binary", message.extracting(list))
  }

  private static func trimmed(_ range: Range<Int>, of text: Span<UInt8>) -> Range<Int> {
    var start = range.lowerBound
    var end = range.upperBound
    while start < end, text[start] <= UInt8(ascii: " ") { start += 1 }
    while start < end, text[end - 1] <= UInt8(ascii: " ") { end -= 1 }
    return start..<end
  }

  private static func contains(_ word: StaticString, _ text: Span<UInt8>) -> Bool {
    let length = word.utf8CodeUnitCount
    var index = 0
    while index + length <= text.count {
      if text[index] == UInt8(ascii: "$"), JSONString.equals(text.extracting(index..<index + length), word) {
        return true
      }
      index += 1
    }
    return false
  }
}

/// The bytes that stand as `{"$binary":base64}` in the arguments of an event.
private struct Attachments {
  private(set) var bytes: [UInt8] = []
  private(set) var ends: [Int] = []
  /// The objects that stand for them.
  private var objects: [Range<Int>] = []

  /// Nil: as a packet with attachments, decoders would refuse it.
  init?(of list: Span<UInt8>) {
    var hasPlaceholder = false
    var marks = BinaryMarks(list)
    while let mark = marks.next() {
      guard case .binary(let object, let digits) = mark else {
        hasPlaceholder = true
        continue
      }
      // What is no base64 is an object like any other.
      guard Base64.append(decoding: list.extracting(digits), to: &bytes) else { continue }
      ends.append(bytes.count)
      objects.append(object)
    }
    guard ends.count <= SocketPacket.attachmentsMax, ends.isEmpty || !hasPlaceholder else { return nil }
  }

  func range(_ index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1])..<ends[index] }

  /// Appends the arguments with placeholders in place of the bytes.
  func appendExtracted(_ list: Span<UInt8>, to output: inout [UInt8]) {
    var start = 0
    for (number, object) in objects.enumerated() {
      output.append(copying: list.extracting(start..<object.lowerBound))
      output.append("{\"_placeholder\":true,\"num\":")
      JSONNumber.append(number, to: &output)
      output.append(UInt8(ascii: "}"))
      start = object.upperBound
    }
    output.append(copying: list.extracting(start..<list.count))
  }
}
