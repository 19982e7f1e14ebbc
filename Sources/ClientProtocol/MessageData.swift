import JSONCore

/// The members of a JSON object that a backend or an operator publishes, checked: those that receivers get, byte for byte.
public struct MessageData: Sendable {
  public let members: PassThrough

  /// Reads a JSON object.
  ///
  /// - Parameter asUser: how its author can publish as a user instead of by a member `user`, as the end of a sentence;
  ///   nil: not at all.
  /// - Throws: `bad_request` for what is no object, and for a member that receivers would not get, because its name is the
  ///   protocol's.
  public init(_ text: Span<UInt8>, asUser: String? = nil) throws(ProtocolError) {
    try MessageData.checkNames(of: text, asUser: asUser)
    do {
      members = try OperationScan(text, passesTo: true).passThrough
    } catch {
      throw ProtocolError(.badRequest, "data must be a JSON object: \(error)")
    }
  }

  private static func checkNames(of text: Span<UInt8>, asUser: String?) throws(ProtocolError) {
    do {
      var scanner = JSONScanner(text)
      while let member = try scanner.nextMember() {
        guard let name = protocolName(member.key, in: text) else { continue }
        let advice = name == "user" ? asUser.map { "; to publish as a user, \($0)" } ?? "" : ""
        throw ProtocolError(
          .badRequest,
          "data has a member \"\(name)\", a name of the protocol that receivers would not get: nest it, as in "
            + "{\"payload\":{\"\(name)\":…}}"
            + advice)
      }
    } catch let error as ProtocolError {
      throw error
    } catch {
      throw ProtocolError(.badRequest, "data must be a JSON object: \(error)")
    }
  }

  /// The name of a member that the protocol owns, however it is spelled; nil for every other one.
  private static func protocolName(_ key: JSONStringRange, in text: Span<UInt8>) -> String? {
    guard OperationMember(key, in: text).isReserved else { return nil }
    return key.decoded(in: text).map { String(decoding: $0, as: UTF8.self) }
  }
}
