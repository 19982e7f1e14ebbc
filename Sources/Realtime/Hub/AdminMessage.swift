import JSONCore

/// What a backend or an operator wants to say, checked: the members of a JSON object, and in whose name.
enum AdminMessage {
  /// Makes the envelope of a message.
  ///
  /// - Parameters:
  ///   - data: a JSON object in UTF-8 whose members become the message's, byte for byte.
  ///   - user: in whose name, or nil: nobody's.
  ///   - now: milliseconds since 1970.
  /// - Throws: `bad_request` for what is no object, and for a member that receivers would not get, because its name is the
  ///   protocol's.
  static func envelope(
    _ kind: Envelope.Kind, data: Span<UInt8>, user: [UInt8]?, at now: UInt64
  ) throws(AdminFault) -> [UInt8] {
    try checkNames(of: data)
    let userJSON = try quoted(user)
    do {
      let scan = try OperationScan(data, passesTo: true)
      var envelope: [UInt8] = []
      Envelope.begin(kind, timestamp: now, origin: [], userJSON: userJSON, into: &envelope)
      scan.passThrough.appendMembers(of: data, to: &envelope)
      return envelope
    } catch {
      throw .refused(.badRequest, "data must be a JSON object: \(error)")
    }
  }

  private static func checkNames(of data: Span<UInt8>) throws(AdminFault) {
    do {
      var scanner = JSONScanner(data)
      while let member = try scanner.nextMember() {
        guard let name = protocolName(member.key, in: data) else { continue }
        throw AdminFault.refused(
          .badRequest,
          "data has a member \"\(name)\", a name of the protocol that receivers would not get: nest it, as in "
            + "{\"payload\":{\"\(name)\":…}}"
            + (name == "user" ? "; to publish as a user, put user beside data" : ""))
      }
    } catch let fault as AdminFault {
      throw fault
    } catch {
      throw .refused(.badRequest, "data must be a JSON object: \(error)")
    }
  }

  /// The name of a member that the protocol owns, however it is spelled; nil for every other one.
  private static func protocolName(_ key: JSONStringRange, in data: Span<UInt8>) -> String? {
    guard OperationMember(key, in: data).isReserved else { return nil }
    return key.decoded(in: data).map { String(decoding: $0, as: UTF8.self) }
  }

  private static func quoted(_ user: [UInt8]?) throws(AdminFault) -> [UInt8] {
    guard let user else { return Array("null".utf8) }
    guard RoomName.isValid(user.span) else {
      throw .refused(.badRequest, "user must be 1 to 200 bytes of UTF-8 without control characters, or null")
    }
    var json: [UInt8] = []
    JSONString.append(user.span, to: &json)
    return json
  }
}
