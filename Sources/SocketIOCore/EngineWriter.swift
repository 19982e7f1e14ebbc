import JSONCore

/// Writes packets of Engine.IO as text: as a WebSocket's text frame or as part of a payload.
public enum EngineWriter {
  /// The packet that opens a session.
  ///
  /// - Parameters:
  ///   - sid: the session's id; needs no escapes in JSON.
  ///   - upgrades: whether the client may upgrade to a WebSocket.
  ///   - pingInterval: milliseconds between two pings of the server.
  ///   - pingTimeout: milliseconds within which the client answers a ping.
  ///   - maxPayload: the largest body of a polling request in bytes.
  public static func appendOpen(
    sid: Span<UInt8>, upgrades: Bool, pingInterval: Int, pingTimeout: Int, maxPayload: Int, to output: inout [UInt8]
  ) {
    output.append("0{\"sid\":\"")
    output.append(copying: sid)
    output.append(
      upgrades ? "\",\"upgrades\":[\"websocket\"],\"pingInterval\":" : "\",\"upgrades\":[],\"pingInterval\":")
    JSONNumber.append(pingInterval, to: &output)
    output.append(",\"pingTimeout\":")
    JSONNumber.append(pingTimeout, to: &output)
    output.append(",\"maxPayload\":")
    JSONNumber.append(maxPayload, to: &output)
    output.append(UInt8(ascii: "}"))
  }

  /// A packet without data, or with data that stands as it is, such as `probe`.
  public static func append(_ type: EnginePacketType, data: StaticString = "", to output: inout [UInt8]) {
    output.append(type.digit)
    output.append(data)
  }

  /// A message whose bytes are binary, in the form of a payload: `b` and base64.
  public static func appendBase64Message(_ bytes: Span<UInt8>, to output: inout [UInt8]) {
    output.append(UInt8(ascii: "b"))
    Base64.append(bytes, to: &output)
  }
}
