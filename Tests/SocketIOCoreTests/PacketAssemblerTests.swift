import SocketIOCore
import Testing

@Suite("Packets and their attachments")
struct PacketAssemblerTests {
  private let two = bytes(#"52-["a",{"num":1,"_placeholder":true},[{"b":{"_placeholder":true,"num":0}}]]"#)

  @Test("a packet without attachments is whole at once")
  func plain() throws {
    var assembler = PacketAssembler(bytesMax: 100)
    let packet = try assembler.addText(bytes(#"2["a"]"#).span)
    #expect(packet?.type == .event)
    #expect(!assembler.isWaiting && assembler.byteCount == 0)
  }

  @Test("attachments complete a packet in their order, and the next one begins anew")
  func attachments() throws {
    var assembler = PacketAssembler(bytesMax: 200)
    for _ in 0..<2 {
      #expect(try assembler.addText(two.span) == nil)
      #expect(assembler.isWaiting && assembler.byteCount == two.count)
      #expect(try assembler.addBinary([1, 2].span) == nil)
      #expect(assembler.byteCount == two.count + 2)
      let whole = try assembler.addBinary(bytes("").span)
      #expect(whole?.text == two && whole?.attachments == [[1, 2], []])
      #expect(!assembler.isWaiting && assembler.byteCount == 0)
    }
  }

  @Test("text among attachments, and a binary message without a packet, are faults")
  func order() throws {
    var assembler = PacketAssembler(bytesMax: 200)
    #expect(throws: PacketFault.unexpectedAttachment) { _ = try assembler.addBinary([1].span) }
    _ = try assembler.addText(two.span)
    #expect(throws: PacketFault.expectedAttachment) { _ = try assembler.addText(two.span) }
  }

  @Test("a packet with its attachments has a limit")
  func limit() throws {
    var assembler = PacketAssembler(bytesMax: two.count + 4)
    _ = try assembler.addText(two.span)
    _ = try assembler.addBinary([1, 2, 3, 4].span)
    #expect(throws: PacketFault.tooLarge) { _ = try assembler.addBinary([5].span) }
    var small = PacketAssembler(bytesMax: two.count - 1)
    #expect(throws: PacketFault.tooLarge) { _ = try small.addText(two.span) }
  }

  @Test(
    "each attachment has one placeholder",
    arguments: [
      #"51-["a"]"#, #"51-["a",{"_placeholder":true,"num":1}]"#,
      #"51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]"#,
      #"52-["a",{"_placeholder":true,"num":0}]"#, #"51-["a",{"_placeholder":true,"num":-1}]"#,
      #"51-["a",{"_placeholder":true,"num":0.0}]"#, #"51-["a",{"_placeholder":true,"num":"0"}]"#,
      #"51-["a",{"_placeholder":true}]"#, #"51-["a",{"_placeholder":false,"num":0}]"#,
      #"51-["a",{"_placeholder":true,"num":0,"x":1}]"#,
      #"51-["a",{"_placeholder":true,"num":0},{"_placeholder":true}]"#,
      #"51-["a",{"_placeholder":true,"num":0},{"\u005fplaceholder":true,"num":7}]"#,
      #"51-["a",{"_placeholder":true,"num":99999999999999999999}]"#, #"51-["a","{\"_placeholder\":true,\"num\":0}"]"#,
      #"51-[{"_placeholder":true,"num":0}]"#,
    ])
  func placeholders(_ packet: String) {
    var assembler = PacketAssembler(bytesMax: 1000)
    #expect(throws: PacketFault.self) { _ = try assembler.addText(bytes(packet).span) }
  }

  @Test(
    "a placeholder may be spelled in any way",
    arguments: [
      #"51-["a", { "num" : 0 , "_placeholder" : true } ]"#, #"51-["a",{"\u005fplaceholder":true,"num":0}]"#,
      #"51-["_placeholder",{"a":{"_placeholder":true,"num":0},"_placeholder":false}]"#,
      #"61-7[{"_placeholder":true,"num":0}]"#, #"51-["a",{"_placeholder":true,"num":0},{"_placeholder":"yes"}]"#,
    ])
  func spellings(_ packet: String) throws {
    var assembler = PacketAssembler(bytesMax: 1000)
    #expect(try assembler.addText(bytes(packet).span) == nil)
    #expect(try assembler.addBinary([1].span) != nil)
  }

  @Test("every fault says what is expected")
  func texts() {
    for fault in PacketFault.allCases { #expect(fault.text.utf8CodeUnitCount > 20) }
  }
}
