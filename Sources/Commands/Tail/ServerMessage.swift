import JSONCore

/// The members of a server's message that a resuming client acts on; the rest stays bytes.
struct ServerMessage {
  private(set) var type: [UInt8] = []
  private(set) var room: [UInt8]?
  private(set) var epoch: [UInt8]?
  private(set) var offset: UInt64?
  private(set) var from: UInt64?
  private(set) var to: UInt64?
  private(set) var recovered: Bool?
  private(set) var code: String?
  private(set) var explanation: String?
  private(set) var id: [UInt8]?
  private(set) var pingInterval: UInt64?
  private(set) var members: UInt64?

  /// Checks the text wholly and reads the members. The first of a name counts: the server's own come first, and a
  /// sender's members, which follow, must not speak for it.
  init(parsing text: Span<UInt8>) throws(JSONError) {
    var scanner = JSONScanner(text)
    while let member = try scanner.nextMember() { take(member, in: text) }
  }

  private mutating func take(_ member: JSONMember, in text: Span<UInt8>) {
    func named(_ name: StaticString) -> Bool { member.key.equals(name, in: text) }
    let bytes = member.string?.decoded(in: text)
    // A server that counts beyond 2^53 - 1 is none of ours: nothing may be added to such a number.
    let number =
      member.kind == .number
      ? JSONNumber.unsigned(text.extracting(member.value)).flatMap { $0 < 1 << 53 ? $0 : nil } : nil
    if named("type") {
      if type.isEmpty { type = bytes ?? [] }
    } else if named("room") {
      room = room ?? bytes
    } else if named("epoch") {
      epoch = epoch ?? bytes
    } else if named("offset") {
      offset = offset ?? number
    } else if named("from") {
      from = from ?? number
    } else if named("to") {
      to = to ?? number
    } else if named("recovered") {
      recovered = recovered ?? (member.kind == .true)
    } else if named("code") {
      code = code ?? bytes.map { String(decoding: $0, as: UTF8.self) }
    } else if named("message") || named("reason") {
      explanation = explanation ?? bytes.map { String(decoding: $0, as: UTF8.self) }
    } else if named("id") {
      id = id ?? bytes
    } else if named("pingInterval") {
      pingInterval = pingInterval ?? number
    } else if named("members") {
      members = members ?? number
    }
  }

  /// Tells whether this is a message of that type.
  func isType(_ name: StaticString) -> Bool { JSONString.equals(type.span, name) }
}
