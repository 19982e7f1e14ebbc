import Testing

@testable import Bench

@Suite("Stamps, by which deliveries are told apart")
struct StampTests {
  private func written(_ stamp: Stamp, head: String = "{", bytes: Int = 128) -> [UInt8] {
    var writer = StampWriter(head: head, messageBytes: bytes)
    var message: [UInt8] = []
    writer.write(stamp) { span in for index in span.indices { message.append(span[index]) } }
    return message
  }

  @Test("a message has the size that was asked for, whatever its number", arguments: [0, 9, 10, 4_294_967_295])
  func sizeIsExact(sequence: UInt32) {
    #expect(written(Stamp(sequence: sequence, time: 1_234_567_890_123), bytes: 128).count == 128)
  }

  @Test("a message that cannot be so small is as small as it can be, and valid")
  func smallMessage() {
    let text = String(decoding: written(Stamp(sequence: 7, time: 9), bytes: 32), as: UTF8.self)
    #expect(text == "{\"seq\":7,\"t\":9,\"pad\":\"xxxxxxxx\"}")
    #expect(String(decoding: written(Stamp(sequence: 7, time: 9), bytes: 1), as: UTF8.self).hasSuffix("\"pad\":\"\"}"))
  }

  @Test("a stamp is found behind members that the server adds, and when it moves")
  func foundAnywhere() {
    var reader = StampReader()
    for prefix in ["", "{\"type\":\"message\",\"offset\":12,", "{\"type\":\"message\",\"offset\":123,", "{"] {
      let message = Array(prefix.utf8) + written(Stamp(sequence: 42, time: 99))
      #expect(reader.read(message.span) == Stamp(sequence: 42, time: 99))
    }
  }

  @Test("numbers of every length are read back, whatever digits they have")
  func everyLength() {
    var reader = StampReader()
    var time: UInt64 = 0
    for digit: UInt64 in [1, 9, 8, 0, 2, 7, 3, 6, 4, 5, 0, 0, 9, 9, 1, 8, 2, 7, 3] {
      time = time * 10 + digit
      let stamp = Stamp(sequence: UInt32(time % 4_294_967_296), time: time)
      #expect(reader.read(written(stamp).span) == stamp)
    }
  }

  @Test(
    "what has no stamp has none, also when it is cut inside one",
    arguments: [
      "", "\"seq\":", "{\"seq\":1", "{\"seq\":1,\"t\":", "{\"seq\":x,\"t\":1}", "{\"type\":\"joined\"}",
      "{\"seq\":4294967296,\"t\":1}", "{\"seq\":123456789012345678901234567890,\"t\":1}",
      "{\"seq\":1234567:,\"t\":1234567/}", "{\"seq\":12345678,\"t\":/2345678}",
    ])
  func notFound(text: String) {
    var reader = StampReader()
    // The hint of an earlier message must not mislead.
    _ = reader.read(written(Stamp(sequence: 1, time: 1)).span)
    #expect(reader.read(Array(text.utf8).span) == nil)
  }
}
