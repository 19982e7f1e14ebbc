import ClientProtocol
import JSONCore
import Realtime
import Server

/// Reads a JSON text with every reader there is, and as a client's operation and an administrator's body (RFC 8259).
enum JSONTarget {
  static func check(_ text: [UInt8]) throws(Broken) {
    let isUTF8 = JSONScanner.isValidUTF8(text.span)
    try require(isUTF8 == (String(validating: text, as: UTF8.self) != nil), "UTF-8 is what the standard library says")
    let isValid = succeeds { () throws(JSONError) in try JSONScanner.validate(text.span) }
    let keys = keys(of: text)
    try require(keys == nil || isValid, "an object read member by member is a valid text")
    if (try? AdminBody(text)) != nil { try require(isUTF8 && keys != nil, "a body is one JSON object in UTF-8") }
    guard isUTF8 else { return }
    try checkTree(text, isValid)
    try checkOperation(text, isObject: keys != nil)
  }

  private static func checkTree(_ text: [UInt8], _ isValid: Bool) throws(Broken) {
    do {
      let value = try JSONValue.parse(text.span, depthMax: JSONScanner.depthMax)
      try require(isValid, "what is read as a tree is a valid text")
      var writer = JSONWriter()
      writer.value(value)
      let written = writer.finish()
      let again = try? JSONValue.parse(written.span, depthMax: JSONScanner.depthMax)
      try require(again == value, "what is written is read as the same")
    } catch let error as JSONError {
      try require((0...text.count).contains(error.offset), "an error is at a place of the text")
      // The scanner leaves halves of surrogate pairs to whoever decodes them.
      try require(!isValid || error.reason == .loneSurrogate, "both readers refuse the same: \(error)")
    } catch let error as Broken {
      throw error
    } catch {
      throw Broken(description: "no other error: \(error)")
    }
  }

  private static func checkOperation(_ text: [UInt8], isObject: Bool) throws(Broken) {
    switch parsed(text) {
    case .success(let operation): try checkAccepted(operation, text, isObject: isObject)
    case .failure(let error):
      try require(isObject || error.code == .badRequest, "what is no JSON object is a bad request")
      if let id = error.id { try checkString(text[id]) }
    }
  }

  private static func parsed(_ text: [UInt8]) -> Result<ClientOperation, ProtocolError> {
    do throws(ProtocolError) {
      return .success(try ClientOperation(parsing: text.span))
    } catch {
      return .failure(error)
    }
  }

  private static func checkAccepted(_ operation: ClientOperation, _ text: [UInt8], isObject: Bool) throws(Broken) {
    try require(isObject, "an operation is a JSON object")
    if let id = operation.id {
      try checkString(text[id])
      let decoded = operation.decodedID(in: text.span)
      try require(decoded.map { $0.count <= ClientOperation.idBytesMax } ?? false, "an id has 64 bytes at most")
    }
    if let room = operation.room {
      let name = room.decoded(in: text.span) ?? []
      try require(RoomName.isValid(name.span), "a room has a valid name")
    }
    if let payload = operation.payload {
      let bytes = Array(text[payload])
      try require(succeeds { () throws(JSONError) in try JSONScanner.validate(bytes.span) }, "a payload is one value")
    }
    var passed = [UInt8(ascii: "{")]
    operation.passThrough.appendMembers(of: text.span, to: &passed)
    try require(passed.count == 1 + operation.passThrough.byteCount, "the length told is the length written")
    passed.append(UInt8(ascii: "}"))
    guard let keys = keys(of: passed) else { throw Broken(description: "what is passed on is valid JSON") }
    for reserved in ["type", "room", "user", "offset", "ts", "id", "echo"] {
      try require(!keys.contains(Array(reserved.utf8)), "no member of the protocol is passed on")
    }
  }

  private static func checkString(_ quoted: ArraySlice<UInt8>) throws(Broken) {
    let bytes = Array(quoted)
    try require((try? JSONValue.parse(bytes.span).asBytes) != nil, "an id that is repeated is a JSON string")
  }

  /// The keys of an object, halves of surrogate pairs left out; nil when the text is no object.
  private static func keys(of text: [UInt8]) -> [[UInt8]]? {
    var scanner = JSONScanner(text.span)
    var keys: [[UInt8]] = []
    do throws(JSONError) {
      while let member = try scanner.nextMember() {
        if let key = member.key.decoded(in: text.span) { keys.append(key) }
      }
      return keys
    } catch {
      return nil
    }
  }

  private static func succeeds(_ body: () throws(JSONError) -> Void) -> Bool {
    do throws(JSONError) {
      try body()
      return true
    } catch {
      return false
    }
  }
}
