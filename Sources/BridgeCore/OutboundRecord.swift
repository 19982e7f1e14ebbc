import ClientProtocol
import JSONCore
import Realtime
import Settings

/// A record as it is written to the other side.
public struct OutboundRecord: Sendable {
  /// The topic, or the exchange; empty for AMQP's default exchange.
  public var target: String
  /// The key, of AMQP the routing key.
  public var key: [UInt8]
  public var value: [UInt8]
  public var headers: [(name: [UInt8], value: [UInt8])]
  /// By which a reader recognises what comes twice; nil of dead letters.
  public var id: [UInt8]?
  /// Whether `key` is a queue that is to be made when it is missing.
  public var declaresQueue = false

  public init(
    target: String, key: [UInt8], value: [UInt8], headers: [(name: [UInt8], value: [UInt8])], id: [UInt8]? = nil
  ) {
    self.target = target
    self.key = key
    self.value = value
    self.headers = headers
    self.id = id
  }

  /// Bytes that it takes while it is on its way.
  public var byteCount: Int { headers.reduce(value.count + key.count + 200) { $0 + $1.name.count + $1.value.count } }

  /// Makes the record of a room's message; nil for what no node of this version wrote.
  public init?(room: [UInt8], at position: Position, envelope bytes: [UInt8], _ output: BridgeOutput) {
    guard let envelope = Envelope(bytes.span), envelope.kind == .message else { return nil }
    var value = [UInt8(ascii: "{")]
    value.append(contentsOf: bytes[envelope.body])
    value.append(UInt8(ascii: "}"))
    let user = JSONText.parse(Array(bytes[envelope.user]))?.asBytes
    var epoch: [UInt8] = []
    position.epoch.append(to: &epoch)
    let offset = Array(String(position.offset).utf8)
    let id = room + [UInt8(ascii: ":")] + epoch + [UInt8(ascii: ":")] + offset
    var json: JSONValue?
    if output.key?.readsValue == true { json = JSONText.parse(value) }
    let key = output.key?.filled {
      switch $0 {
      case .room: room
      case .user: user ?? []
      case .value(let path): JSONText.member(path, of: json)
      case .key, .id, .topic, .header: nil
      }
    }
    var headers: [(name: [UInt8], value: [UInt8])] = [
      (Array("id".utf8), id), (Array("room".utf8), room), (Array("epoch".utf8), epoch), (Array("offset".utf8), offset),
      (Array("ts".utf8), Array(bytes[envelope.timestamp])),
    ]
    if let user { headers.append((Array("user".utf8), user)) }
    if let trace = OutboundRecord.trace(value) { headers.append((Array("trace".utf8), trace)) }
    // Without a key a room's messages would go to any partition, and lose their order.
    self.init(
      target: output.target, key: key.flatMap { $0.isEmpty ? nil : $0 } ?? room, value: value, headers: headers, id: id)
  }

  /// The member `traceparent` (W3C Trace Context) of a message.
  private static func trace(_ object: [UInt8]) -> [UInt8]? {
    do {
      var scanner = JSONScanner(object.span)
      while let member = try scanner.nextMember() {
        guard member.key.equals("traceparent", in: object.span) else { continue }
        return JSONText.member([], of: try JSONValue.parse(object.span.extracting(member.value)))
      }
      return nil
    } catch {
      return nil
    }
  }

  /// Makes the dead letter of a record.
  public init(deadLetter record: InboundRecord, to name: String, kind: BridgeKind, reason: String) {
    var headers = record.headers
    headers.append((Array("roost-reason".utf8), Array(reason.utf8)))
    headers.append((Array("roost-source".utf8), record.source))
    if let id = record.id { headers.append((Array("roost-record".utf8), id)) }
    if kind == .amqp, let key = record.key { headers.append((Array("roost-key".utf8), key)) }
    let isQueue = kind == .amqp
    self.init(
      target: isQueue ? "" : name, key: isQueue ? Array(name.utf8) : record.key ?? [], value: record.value,
      headers: headers)
    declaresQueue = isQueue
  }
}
