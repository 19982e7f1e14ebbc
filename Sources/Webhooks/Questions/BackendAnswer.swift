import ClientProtocol
import JSONCore
import Realtime

/// Why the answer of a backend cannot be used, for the log. Holds nothing of the answer.
public struct UnusableAnswer: Error, Equatable, CustomStringConvertible {
  /// What is wrong, as a sentence about the answer.
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Reads what a backend answers. Strict: an answer that is not clear decides nothing. Members that mean nothing here are
/// ignored.
public enum BackendAnswer {
  private static let noReason = "the backend refused it"

  /// Reads the answer to a question about an operation.
  ///
  /// - Parameter takesData: whether the question is about a message with members, which `data` may replace.
  public static func decision(_ body: [UInt8], takesData: Bool) throws(UnusableAnswer) -> Decision {
    let answer = try Members(body)
    guard try answer.isOK() else { return .refused(reason: try answer.reason() ?? noReason) }
    guard let data = answer.value("data") else { return .allowed() }
    guard takesData else { throw UnusableAnswer("data replaces the members of JSON messages only") }
    do throws(ProtocolError) {
      _ = try MessageData(data.span)
    } catch {
      throw UnusableAnswer(error.message)
    }
    return .allowed(data: data)
  }

  /// Reads the answer to a question about a connection.
  ///
  /// - Parameters:
  ///   - needsUser: whether nothing else says who it is.
  ///   - defaultRooms: what an answer without `rooms` means then; nil: all rooms.
  public static func connect(
    _ body: [UInt8], needsUser: Bool, defaultRooms: RoomGrants?
  ) throws(UnusableAnswer) -> ConnectDecision {
    let answer = try Members(body)
    guard try answer.isOK() else { return .refused(reason: try answer.reason() ?? noReason) }
    var grant = ConnectGrant()
    grant.user = try answer.string("user")
    if let user = grant.user, !RoomName.isValid(user.span) {
      throw UnusableAnswer("user must be 1 to 200 bytes without control characters")
    }
    if needsUser, grant.user == nil { throw UnusableAnswer("user is missing: with auth=webhook the backend names it") }
    grant.info = answer.value("info")
    if let info = grant.info, info.count > BackendLimits.infoBytesMax {
      throw UnusableAnswer("info is longer than 2 KiB")
    }
    grant.rooms = try answer.strings("rooms").map { (globs) throws(UnusableAnswer) in try grants(globs) }
    if grant.rooms == nil, needsUser { grant.rooms = defaultRooms }
    grant.permissions = try answer.strings("permissions").map { words in
      ConnectGrant.Permissions(
        mayBroadcast: words.contains(Array("broadcast".utf8)), mayDirect: words.contains(Array("direct".utf8)))
    }
    grant.expiresAt = try answer.seconds("expires")
    return .allowed(grant)
  }

  /// Reads the answer to a client's request.
  public static func response(_ body: [UInt8]) throws(UnusableAnswer) -> ActionOutcome {
    let answer = try Members(body)
    if try answer.isOK() { return .success(payload: answer.value("payload") ?? Array("null".utf8)) }
    return answer.value("error").map { .refused(error: $0) } ?? .failure(.forbidden, noReason)
  }

  private static func grants(_ globs: [[UInt8]]) throws(UnusableAnswer) -> RoomGrants {
    guard globs.count <= BackendLimits.globsMax else { throw UnusableAnswer("rooms has more than 256 globs") }
    guard globs.allSatisfy({ (1...BackendLimits.globBytesMax).contains($0.count) }) else {
      throw UnusableAnswer("a glob in rooms must be 1 to 200 bytes")
    }
    return RoomGrants(globs)
  }

  /// The members of an answer that mean something, each once. `null` is as good as absent.
  private struct Members {
    private static let names: [StaticString] = [
      "ok", "reason", "data", "user", "info", "rooms", "permissions", "expires", "payload", "error",
    ]
    private let body: [UInt8]
    private var found: [String: JSONMember] = [:]

    init(_ body: [UInt8]) throws(UnusableAnswer) {
      self.body = body
      guard JSONScanner.isValidUTF8(body.span) else { throw UnusableAnswer("it is not UTF-8") }
      // It has no spelling in UTF-8, so every reader behind this one would make something else of it.
      guard !JSONString.hasLoneSurrogate(body.span) else { throw UnusableAnswer("it holds half of a surrogate pair") }
      var scanner = JSONScanner(body.span)
      while let member = try Members.next(&scanner) {
        guard let name = Members.names.first(where: { member.key.equals($0, in: body.span) }) else { continue }
        guard found.updateValue(member, forKey: "\(name)") == nil else {
          throw UnusableAnswer("it has \(name) more than once")
        }
      }
      // What clients get of it they read with other parsers, which may take the other one.
      if JSONScanner.repeatedMember(in: body.span) != nil {
        throw UnusableAnswer("an object in it has a member more than once")
      }
    }

    @_lifetime(scanner: copy scanner)
    private static func next(_ scanner: inout JSONScanner) throws(UnusableAnswer) -> JSONMember? {
      do throws(JSONError) {
        return try scanner.nextMember()
      } catch {
        throw UnusableAnswer("it is not a JSON object: \(error)")
      }
    }

    private func member(_ name: StaticString) -> JSONMember? {
      guard let member = found["\(name)"], member.kind != .null else { return nil }
      return member
    }

    func isOK() throws(UnusableAnswer) -> Bool {
      switch member("ok")?.kind {
      case .true: return true
      case .false: return false
      case nil: throw UnusableAnswer("ok is missing")
      default: throw UnusableAnswer("ok must be true or false")
      }
    }

    func reason() throws(UnusableAnswer) -> String? {
      guard let reason = try string("reason") else { return nil }
      guard reason.count <= BackendLimits.reasonBytesMax else { throw UnusableAnswer("reason is longer than 1 KiB") }
      return String(decoding: reason, as: UTF8.self)
    }

    /// A copy of a value as it is written, or nil.
    func value(_ name: StaticString) -> [UInt8]? { member(name).map { Array(body[$0.value]) } }

    func string(_ name: StaticString) throws(UnusableAnswer) -> [UInt8]? {
      guard let member = member(name) else { return nil }
      guard let value = member.string?.decoded(in: body.span) else { throw UnusableAnswer("\(name) must be a string") }
      return value
    }

    func strings(_ name: StaticString) throws(UnusableAnswer) -> [[UInt8]]? {
      guard let text = value(name) else { return nil }
      let list = (try? JSONValue.parse(text.span, depthMax: 2))?.asArray
      guard let strings = list?.compactMap(\.asBytes), strings.count == list?.count else {
        throw UnusableAnswer("\(name) must be a list of strings")
      }
      return strings
    }

    /// Seconds since 1970, fractions allowed, as milliseconds.
    func seconds(_ name: StaticString) throws(UnusableAnswer) -> UInt64? {
      guard let member = member(name) else { return nil }
      guard member.kind == .number, let seconds = Double(String(decoding: body[member.value], as: UTF8.self)),
        seconds >= 0, seconds <= BackendLimits.expiresMax
      else { throw UnusableAnswer("\(name) must be seconds since 1970") }
      return UInt64(seconds * 1000)
    }
  }
}
