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

  /// Throws for a member that is not one of `names`, and for one that stands twice: nothing that was asked for is ignored.
  func check(_ names: [StaticString]) throws(ProtocolError) {
    for (index, entry) in members.enumerated() {
      let name = PlainName.of(entry.name)
      guard names.contains(where: { JSONString.equals(entry.name.span, $0) }) else {
        throw ProtocolError(
          .badRequest,
          "the body has an unknown member \(name); expected \(names.map { "\($0)" }.joined(separator: ", "))")
      }
      guard !members[..<index].contains(where: { $0.name == entry.name }) else {
        throw ProtocolError(.badRequest, "the body has the member \(name) twice")
      }
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

  private func find(_ name: StaticString) -> JSONMember? {
    members.last { entry in JSONString.equals(entry.name.span, name) }?.member
  }
}
