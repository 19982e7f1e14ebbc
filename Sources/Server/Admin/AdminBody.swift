import ClientProtocol
import JSONCore
import Realtime

/// A name that somebody sent, for an error message: quoted, and cut where it is too long to be a mistake in spelling.
enum PlainName {
  private static let bytesMax = 64

  static func of(_ name: [UInt8]) -> String {
    let isLong = name.count > bytesMax
    return "\"\(String(decoding: name.prefix(bytesMax), as: UTF8.self))\(isLong ? "…" : "")\""
  }
}

/// The JSON object that an administrative POST carries.
package struct AdminBody {
  private let bytes: [UInt8]
  private var members: [(name: [UInt8], member: JSONMember)] = []

  /// Throws `bad_request` for anything but one JSON object in UTF-8.
  package init(_ bytes: [UInt8]) throws(ProtocolError) {
    self.bytes = bytes
    guard JSONScanner.isValidUTF8(bytes.span) else { throw ProtocolError(.badRequest, "the body is not valid UTF-8") }
    do {
      var scanner = JSONScanner(bytes.span)
      // A name that is no text stands for none that anybody knows.
      while let member = try scanner.nextMember() {
        members.append((member.key.decoded(in: bytes.span) ?? [UInt8(ascii: "?")], member))
      }
    } catch {
      throw ProtocolError(.badRequest, "the body must be a JSON object: \(error)")
    }
  }

  /// Throws for a member that the schema does not know, for one that stands twice, and where of several members exactly one
  /// must stand and does not: nothing that was asked for is ignored.
  ///
  /// - Parameter others: members that may stand besides those of the schema.
  func check(_ schema: Schema, besides others: [String] = []) throws(ProtocolError) {
    guard let object = schema.object else { return }
    let names = others + object.members.map(\.name)
    for (index, entry) in members.enumerated() {
      let name = PlainName.of(entry.name)
      guard names.contains(where: { entry.name.elementsEqual($0.utf8) }) else {
        throw ProtocolError(
          .badRequest, "the body has an unknown member \(name); expected \(names.joined(separator: ", "))")
      }
      guard !members[..<index].contains(where: { $0.name == entry.name }) else {
        throw ProtocolError(.badRequest, "the body has the member \(name) twice")
      }
    }
    guard !object.choices.isEmpty else { return }
    let given = object.choices.filter { choice in members.contains { $0.name.elementsEqual(choice.utf8) } }
    guard given.count == 1 else {
      let choices = object.choices.joined(separator: " or ")
      throw ProtocolError(.badRequest, "the body needs \(choices)\(given.isEmpty ? "" : ", not both")")
    }
  }

  /// The string of that name, or nil when it is missing or null. Throws when it is of another kind.
  func optionalString(_ name: StaticString) throws(ProtocolError) -> [UInt8]? {
    guard let member = find(name), member.kind != .null else { return nil }
    return try string(name)
  }

  /// The string of that name. Throws when it is missing or of another kind.
  func string(_ name: StaticString) throws(ProtocolError) -> [UInt8] {
    guard let string = find(name)?.string?.decoded(in: bytes.span) else {
      throw ProtocolError(.badRequest, "\(name) must be a string")
    }
    return string
  }

  /// The user's name of that member. Throws when it is missing, or a name that nobody can have.
  func user(_ name: StaticString) throws(ProtocolError) -> [UInt8] {
    let user = try string(name)
    guard UserName.isValid(user) else { throw ProtocolError(.badRequest, "\(name) must be a user: \(UserName.rule)") }
    return user
  }

  /// The trace that it is part of, by its `traceparent`; nil: it has none, or one that is to be ignored.
  var trace: TraceContext? { find("traceparent")?.string.flatMap { TraceContext($0, in: bytes.span) } }

  /// Whether there is a member of that name.
  func has(_ name: StaticString) -> Bool { find(name) != nil }

  /// The object of that name as it was written. Throws when it is missing, of another kind, or too long.
  func object(_ name: StaticString, bytesMax: Int) throws(ProtocolError) -> ArraySlice<UInt8> {
    guard let member = find(name), member.kind == .object else {
      throw ProtocolError(.badRequest, "\(name) must be a JSON object")
    }
    guard member.value.count <= bytesMax else {
      throw ProtocolError(.tooLarge, "\(name) has \(member.value.count) bytes; --max-message allows \(bytesMax)")
    }
    return bytes[member.value]
  }

  /// The strings of the array of that name. Throws when it is missing, of another kind, or has none or too many.
  func strings(_ name: StaticString, countMax: Int) throws(ProtocolError) -> [[UInt8]] {
    let problem = ProtocolError(.badRequest, "\(name) must be an array of 1 to \(countMax) strings")
    guard let member = find(name), member.kind == .array,
      let elements = (try? JSONValue.parse(bytes[member.value].span))?.asArray,
      (1...countMax).contains(elements.count)
    else { throw problem }
    var strings: [[UInt8]] = []
    for element in elements {
      guard let string = element.asBytes else { throw problem }
      strings.append(string)
    }
    return strings
  }

  /// A string of that name with 1 to so many bytes; nil when it is missing. Throws for any other.
  func key(_ name: StaticString, bytesMax: Int) throws(ProtocolError) -> [UInt8]? {
    guard has(name) else { return nil }
    let key = try string(name)
    guard (1...bytesMax).contains(key.count) else {
      throw ProtocolError(.badRequest, "\(name) has 1 to \(bytesMax) bytes")
    }
    return key
  }

  private func find(_ name: StaticString) -> JSONMember? {
    members.last { entry in JSONString.equals(entry.name.span, name) }?.member
  }
}
