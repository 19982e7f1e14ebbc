import JSONCore

/// The members of a server's message that a client acts on; the rest stays bytes.
public struct ServerMessage: Sendable {
  public private(set) var type: [UInt8] = []
  public private(set) var room: [UInt8]?
  public private(set) var user: [UInt8]?
  public private(set) var epoch: [UInt8]?
  public private(set) var offset: UInt64?
  /// Milliseconds since 1970.
  public private(set) var timestamp: UInt64?
  public private(set) var from: UInt64?
  public private(set) var to: UInt64?
  public private(set) var recovered: Bool?
  public private(set) var code: String?
  /// What `message` or `reason` says.
  public private(set) var explanation: String?
  public private(set) var id: [UInt8]?
  /// Milliseconds.
  public private(set) var pingInterval: UInt64?
  /// Users in the room; nil where `members` is a list.
  public private(set) var members: UInt64?
  public private(set) var connection: [UInt8]?
  public private(set) var node: [UInt8]?

  /// Checks the text wholly and reads the members. The first of a name counts: the server's own come first, and a
  /// sender's members, which follow, must not speak for it.
  public init(parsing text: Span<UInt8>) throws(JSONError) {
    var scanner = JSONScanner(text)
    while let member = try scanner.nextMember() { take(member, in: text) }
  }

  private mutating func take(_ member: JSONMember, in text: Span<UInt8>) {
    func named(_ name: StaticString) -> Bool { member.key.equals(name, in: text) }
    var bytes: [UInt8]? { member.string?.decoded(in: text) }
    // A server that counts beyond 2^53 - 1 is none of ours: nothing may be added to such a number.
    var number: UInt64? {
      guard member.kind == .number else { return nil }
      return JSONNumber.unsigned(text.extracting(member.value)).flatMap { $0 <= Position.offsetMax ? $0 : nil }
    }
    var words: String? { bytes.map { String(decoding: $0, as: UTF8.self) } }
    if named("type") {
      if type.isEmpty { type = bytes ?? [] }
    } else if named("room") {
      room = room ?? bytes
    } else if named("user") {
      user = user ?? bytes
    } else if named("epoch") {
      epoch = epoch ?? bytes
    } else if named("offset") {
      offset = offset ?? number
    } else if named("ts") {
      timestamp = timestamp ?? number
    } else if named("from") {
      from = from ?? number
    } else if named("to") {
      to = to ?? number
    } else if named("recovered") {
      recovered = recovered ?? (member.kind == .true)
    } else if named("code") {
      code = code ?? words
    } else if named("message") || named("reason") {
      explanation = explanation ?? words
    } else if named("id") {
      id = id ?? bytes
    } else if named("pingInterval") {
      pingInterval = pingInterval ?? number
    } else if named("members") {
      members = members ?? number
    } else if named("connection") {
      connection = connection ?? bytes
    } else if named("node") {
      node = node ?? bytes
    }
  }

  /// Tells whether this is a message of that type.
  public func isType(_ name: StaticString) -> Bool { JSONString.equals(type.span, name) }
}
