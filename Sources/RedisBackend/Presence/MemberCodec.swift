import JSONCore
import Realtime

/// Writes and reads a member as the JSON value of a hash whose field is the connection's name.
enum MemberCodec {
  /// Writes everything but the name and the node, which the field holds.
  static func encode(_ member: Member) -> [UInt8] {
    var writer = JSONWriter(capacity: 96 + member.user.count + (member.info?.count ?? 0))
    writer.beginObject()
    writer.key("user")
    writer.string(member.user)
    writer.key("transport")
    writer.string(member.transport.name)
    writer.key("address")
    writer.string(member.address)
    writer.key("since")
    writer.unsigned(member.since)
    if let info = member.info {
      writer.key("info")
      writer.raw(info)
    }
    writer.endObject()
    return writer.finish()
  }

  /// Reads what `encode` wrote. Returns nil for anything else, so that a foreign field spoils no list.
  static func decode(name: [UInt8], _ value: Span<UInt8>) -> Member? {
    RedisKeys.node(ofConnection: name).flatMap { decode(name: name, node: $0, value) }
  }

  /// Reads the member that a user in grace was: it has no connection and no node any more.
  static func decodeAbsent(_ value: Span<UInt8>) -> Member? { decode(name: [], node: [], value) }

  private static func decode(name: [UInt8], node: [UInt8], _ value: Span<UInt8>) -> Member? {
    var user: [UInt8]?
    var transport: Transport?
    var address: [UInt8] = []
    var since: UInt64?
    var info: [UInt8]?
    var scanner = JSONScanner(value)
    do {
      while let part = try scanner.nextMember() {
        if part.key.equals("user", in: value) {
          user = part.string?.decoded(in: value)
        } else if part.key.equals("transport", in: value) {
          guard let name = part.string else { return nil }
          transport = Transport.allCases.first { name.equals($0.name, in: value) }
        } else if part.key.equals("address", in: value) {
          address = part.string?.decoded(in: value) ?? []
        } else if part.key.equals("since", in: value) {
          since = JSONNumber.unsigned(value.extracting(part.value))
        } else if part.key.equals("info", in: value) {
          let text = value.extracting(part.value)
          info = text.indices.map { text[$0] }
        }
      }
    } catch { return nil }
    guard let user, let transport, let since else { return nil }
    return Member(
      name: name, node: node, user: user, transport: transport, address: address, since: since, info: info)
  }

  /// Reads only whose a member is: enough to take it out of everything, however the rest was written or will be written by
  /// other versions. Nil when not even that can be read.
  static func user(of value: Span<UInt8>) -> [UInt8]? {
    var scanner = JSONScanner(value)
    do throws(JSONError) {
      while let part = try scanner.nextMember() {
        if part.key.equals("user", in: value) { return part.string?.decoded(in: value) }
      }
    } catch { return nil }
    return nil
  }

  /// Reads a member that is to be taken out: its user, empty when that cannot be read, is all that matters of it.
  static func leaver(name: [UInt8], _ value: Span<UInt8>) -> Member {
    decode(name: name, value)
      ?? Member(
        name: name, node: RedisKeys.node(ofConnection: name) ?? [], user: user(of: value) ?? [], transport: .websocket,
        address: [], since: 0, info: nil)
  }
}
