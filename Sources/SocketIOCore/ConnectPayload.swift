import JSONCore

/// What a client sends with `connect`: the `auth` of its options.
public struct ConnectPayload: Equatable, Sendable {
  /// The token that says who the client is; nil, as the others, when absent or no string.
  public private(set) var token: JSONStringRange?
  /// The user, where names are free.
  public private(set) var user: JSONStringRange?
  /// The id by which an earlier connection can be recovered.
  public private(set) var pid: JSONStringRange?
  /// The offset of the last event that came on that connection.
  public private(set) var offset: JSONStringRange?

  /// Reads the payload of a packet of type `connect`; all members are nil when it has none.
  ///
  /// - Parameter text: what the packet was read from.
  public init(of packet: SocketPacket, in text: Span<UInt8>) {
    guard packet.type == .connect, let payload = packet.payload else { return }
    let object = text.extracting(payload)
    var scanner = JSONScanner(object)
    while let member = scanner.nextValidMember() {
      let value = member.string?.moved(by: payload.lowerBound)
      if member.key.equals("token", in: object) {
        token = value
      } else if member.key.equals("user", in: object) {
        user = value
      } else if member.key.equals("pid", in: object) {
        pid = value
      } else if member.key.equals("offset", in: object) {
        offset = value
      }
    }
  }
}

extension JSONStringRange {
  fileprivate func moved(by bytes: Int) -> JSONStringRange {
    JSONStringRange(contents: contents.lowerBound + bytes..<contents.upperBound + bytes, hasEscapes: hasEscapes)
  }
}
