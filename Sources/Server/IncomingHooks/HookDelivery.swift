import ClientProtocol
import HTTPCore
import JSONCore
import Settings

/// What a hook's sender delivers, read after its signature was verified. Pure.
struct HookDelivery {
  /// Bytes of an event's name and of a delivery's id.
  static let nameBytesMax = 200

  /// What makes a repetition recognisable.
  let id: [UInt8]
  /// The members of the message: `hook`, `event`, `body`.
  let data: [UInt8]

  /// Reads a body, and of GitHub's deliveries two headers.
  ///
  /// - Parameters:
  ///   - event: the value of `X-GitHub-Event`.
  ///   - deliveryID: the value of `X-GitHub-Delivery`.
  /// - Throws: `bad_request` for what is no JSON object, and where the id or the event is missing.
  init(
    hook: [UInt8], _ scheme: IncomingHookScheme, event: [UInt8]?, deliveryID: [UInt8]?, body: [UInt8]
  ) throws(ProtocolError) {
    let object = try AdminBody(body)
    // Receivers read the same text with other parsers, which may take the other one.
    if let name = JSONScanner.repeatedMember(in: body.span) {
      throw ProtocolError(.badRequest, "the body has the member \(PlainName.of(name)) twice in one object")
    }
    let name: [UInt8]
    switch scheme {
    case .github:
      name = try HookDelivery.checked(event, "the header X-GitHub-Event")
      id = try HookDelivery.checked(deliveryID, "the header X-GitHub-Delivery")
    case .stripe:
      name = try HookDelivery.checked(try object.string("type"), "type")
      id = try HookDelivery.checked(try object.string("id"), "id")
    case .roost:
      name = try HookDelivery.checked(try object.string("event"), "event")
      id = try HookDelivery.checked(try object.string("id"), "id")
    }
    var writer = JSONWriter(capacity: body.count + hook.count + name.count + 64)
    writer.beginObject()
    writer.key("hook")
    writer.string(hook)
    writer.key("event")
    writer.string(name)
    writer.key("body")
    writer.raw(HookDelivery.compact(body))
    writer.endObject()
    data = writer.finish()
  }

  private static func checked(_ text: [UInt8]?, _ name: String) throws(ProtocolError) -> [UInt8] {
    guard let text, (1...nameBytesMax).contains(text.count), JSONScanner.isValidUTF8(text.span) else {
      throw ProtocolError(.badRequest, "\(name) must have 1 to \(nameBytesMax) bytes of UTF-8")
    }
    return text
  }

  /// Leaves out the white space between the tokens of a valid JSON text: some senders indent what they send, and every
  /// member of the room would receive it.
  static func compact(_ json: [UInt8]) -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(json.count)
    var (isString, isEscaped) = (false, false)
    for byte in json {
      if isString {
        if isEscaped {
          isEscaped = false
        } else if byte == UInt8(ascii: "\\") {
          isEscaped = true
        } else if byte == UInt8(ascii: "\"") {
          isString = false
        }
      } else if byte == UInt8(ascii: "\"") {
        isString = true
      } else if byte <= UInt8(ascii: " ") {
        continue
      }
      output.append(byte)
    }
    return output
  }
}
