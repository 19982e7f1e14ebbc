import Testing

@testable import Bench

@Suite("Socket.IO as the load generator speaks it")
struct SocketIODialectTests {
  @Test(
    "knows what needs an answer",
    arguments: [
      (#"0{"sid":"a"}"#, .opened, #"40{"user":"bench"}"#), ("2", .ping, "3"), (#"40{"sid":"a"}"#, .connected, nil),
      (#"430[{"type":"joined"}]"#, .acked, nil), (#"42["user_joined",{}]"#, nil, nil), ("", nil, nil), ("6", nil, nil),
      ("4", nil, nil),
    ] as [(String, SocketIOAnswer?, String?)])
  func answers(packet: String, answer: SocketIOAnswer?, reply: String?) {
    #expect(SocketIOAnswer(Array(packet.utf8).span) == answer)
    #expect(answer?.reply(user: "bench") == reply)
  }

  @Test("in a namespace of the room's name nothing is joined")
  func namespaces() {
    #expect(SocketIOAnswer.opened.reply(user: "u", namespace: "r") == #"40/r,{"user":"u"}"#)
    #expect(Dialect.socketio.join(room: "r", isOwnNamespace: true) == nil)
    #expect(Dialect.socketio.join(room: "r") == #"420["join","r"]"#)
    #expect(Dialect.socketio.messageHead(room: "r", isOwnNamespace: true) == #"42/r,["bench",{"#)
    #expect(Dialect.socketio.messageTail(isOwnNamespace: true) == "]")
  }

  @Test("a message is a packet of its size with a stamp")
  func message() {
    let dialect = Dialect.socketio
    var writer = StampWriter(head: dialect.messageHead(room: "r"), tail: dialect.messageTail(), messageBytes: 128)
    var written: [UInt8] = []
    writer.write(Stamp(sequence: 7, time: 9)) { for index in $0.indices { written.append($0[index]) } }
    let text = String(decoding: written, as: UTF8.self)
    #expect(written.count == 128)
    #expect(text.hasPrefix(#"42["message",{"room":"r","event":"bench","args":[{"seq":7,"t":9,"pad":"x"#))
    #expect(text.hasSuffix(#"x"}]}]"#))
    var reader = StampReader()
    #expect(reader.read(written.span) == Stamp(sequence: 7, time: 9))
  }
}
