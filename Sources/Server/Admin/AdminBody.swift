import JSONCore
import Realtime

/// The JSON object that an administrative POST carries.
package struct AdminBody {
  private let bytes: [UInt8]
  private var members: [(name: [UInt8], member: JSONMember)] = []

  /// Throws `bad_request` for anything but one JSON object in UTF-8.
  package init(_ bytes: [UInt8]) throws(AdminFault) {
    self.bytes = bytes
    guard JSONScanner.isValidUTF8(bytes.span) else { throw .refused(.badRequest, "the body is not valid UTF-8") }
    do {
      var scanner = JSONScanner(bytes.span)
      while let member = try scanner.nextMember() {
        if let name = member.key.decoded(in: bytes.span) { members.append((name, member)) }
      }
    } catch {
      throw .refused(.badRequest, "the body must be a JSON object: \(error)")
    }
  }

  /// The string of that name. Throws when it is missing or of another kind.
  func string(_ name: StaticString) throws(AdminFault) -> [UInt8] {
    guard let string = find(name)?.string?.decoded(in: bytes.span) else {
      throw .refused(.badRequest, "\(name) must be a string")
    }
    return string
  }

  /// Whether there is a member of that name.
  func has(_ name: StaticString) -> Bool { find(name) != nil }

  /// The object of that name as it was written. Throws when it is missing, of another kind, or too long.
  func object(_ name: StaticString, bytesMax: Int) throws(AdminFault) -> ArraySlice<UInt8> {
    guard let member = find(name), member.kind == .object else {
      throw .refused(.badRequest, "\(name) must be a JSON object")
    }
    guard member.value.count <= bytesMax else {
      throw .refused(.tooLarge, "\(name) has \(member.value.count) bytes; --max-message allows \(bytesMax)")
    }
    return bytes[member.value]
  }

  private func find(_ name: StaticString) -> JSONMember? {
    members.last { entry in JSONString.equals(entry.name.span, name) }?.member
  }
}
