import SocketIOCore
import Testing

@Suite("Socket.IO packets as they are written")
struct PacketWriterTests {
  @Test("connect, connect error and disconnect", arguments: ["", "/"])
  func main(_ main: String) {
    var output = EncodedPackets()
    PacketWriter.appendConnect(namespace: bytes(main).span, sid: bytes("s").span, to: &output)
    PacketWriter.appendConnect(namespace: bytes("/a").span, sid: bytes("s").span, pid: bytes("p"), to: &output)
    PacketWriter.appendConnectError(
      namespace: bytes("/random").span, message: bytes("Invalid namespace").span, to: &output)
    PacketWriter.appendConnectError(
      namespace: bytes(main).span, message: bytes("a \"b\"").span, code: bytes("forbidden"), to: &output)
    PacketWriter.appendDisconnect(namespace: bytes(main).span, to: &output)
    PacketWriter.appendDisconnect(namespace: bytes("/a").span, to: &output)
    #expect(
      shown(output) == [
        #"40{"sid":"s"}"#, #"40/a,{"sid":"s","pid":"p"}"#, #"44/random,{"message":"Invalid namespace"}"#,
        #"44{"message":"a \"b\"","data":{"code":"forbidden"}}"#, "41", "41/a,",
      ])
  }

  @Test("acks and events of the server")
  func acks() {
    var output = EncodedPackets()
    PacketWriter.appendAck(12, list: bytes("").span, namespace: bytes("").span, to: &output)
    PacketWriter.appendAck(13, list: bytes(#"{"ok":true},2"#).span, namespace: bytes("/a").span, to: &output)
    PacketWriter.appendEvent("user_joined", argument: bytes("{}").span, namespace: bytes("").span, to: &output)
    PacketWriter.appendEvent(
      "gap", argument: bytes("{}").span, namespace: bytes("/a").span, offset: bytes("e:1"), to: &output)
    #expect(
      shown(output) == [
        "4312[]", #"43/a,13[{"ok":true},2]"#, #"42["user_joined",{}]"#, #"42/a,["gap",{},"e:1"]"#,
      ])
  }

  @Test("repeats arguments and attachments as the protocol's test suite wants them")
  func echo() throws {
    var output = EncodedPackets()
    let (_, plain, plainText) = try parsed(#"2["message",1,"2",{"3":[true]}]"#)
    PacketWriter.appendEvent(
      "message-back", repeating: try #require(plain), in: plainText.span, attachments: [], namespace: bytes("").span,
      to: &output)
    let (_, ack, ackText) = try parsed(#"2456["message-with-ack",1,"2",{"3":[false]}]"#)
    PacketWriter.appendAck(
      456, repeating: try #require(ack), in: ackText.span, attachments: [], namespace: bytes("").span, to: &output)
    let placeholders = #"{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}"#
    let (_, binary, binaryText) = try parsed("52-789[\"message\",\(placeholders)]")
    let attachments: [[UInt8]] = [[1, 2, 3], [4, 5, 6]]
    PacketWriter.appendEvent(
      "message-back", repeating: try #require(binary), in: binaryText.span, attachments: attachments,
      namespace: bytes("/custom").span, to: &output)
    PacketWriter.appendAck(
      789, repeating: try #require(binary), in: binaryText.span, attachments: attachments, namespace: bytes("").span,
      to: &output)
    #expect(
      shown(output) == [
        #"42["message-back",1,"2",{"3":[true]}]"#, #"43456[1,"2",{"3":[false]}]"#,
        "452-/custom,[\"message-back\",\(placeholders)]", "<010203>", "<040506>", "462-789[\(placeholders)]",
        "<010203>",
        "<040506>",
      ])
  }

  @Test("a buffer can be used again")
  func reuse() {
    var output = EncodedPackets()
    PacketWriter.appendDisconnect(namespace: bytes("").span, to: &output)
    output.removeAll()
    #expect(output.isEmpty && output.bytes.isEmpty)
    PacketWriter.appendDisconnect(namespace: bytes("/a").span, to: &output)
    #expect(shown(output) == ["41/a,"])
  }
}
