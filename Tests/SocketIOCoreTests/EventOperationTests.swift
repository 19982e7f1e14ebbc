import ClientProtocol
import SocketIOCore
import Testing

@Suite("Reserved events as native operations")
struct EventOperationTests {
  @Test(
    "is the operation with the native room",
    arguments: [
      (#"2["join","lobby"]"#, "", #"{"type":"join","room":"lobby"}"#),
      (#"2["join","lobby"]"#, "/chat", #"{"type":"join","room":"/chat#lobby"}"#),
      (#"2["join","a\n\"b"]"#, "", #"{"type":"join","room":"a\u000a\"b"}"#),
      (
        #"2["join",{"room":"a","since":{"epoch":"e","offset":1}}]"#, "/c",
        #"{"type":"join","room":"/c#a","since":{"epoch":"e","offset":1}}"#
      ),
      (#"2["leave","lobby"]"#, "", #"{"type":"leave","room":"lobby"}"#),
      (#"2["presence",{"room":"a","limit":5}]"#, "", #"{"type":"presence","room":"a","limit":5}"#),
      (#"2["history",{"ro\u006fm":"a","limit":5}]"#, "/c", #"{"type":"history","ro\u006fm":"/c#a","limit":5}"#),
      (
        #"2["message",{"room":"a","type":"x","id":"y","event":"e","args":[1]}]"#, "/c",
        #"{"type":"message","room":"/c#a","id":"y","event":"e","args":[1]}"#
      ),
      (#"2["join",{"room":"a","id":"y"}]"#, "", #"{"type":"join","room":"a"}"#),
      (#"2["direct",{"to":"ann","text":"hi"}]"#, "/c", #"{"type":"direct","to":"ann","text":"hi"}"#),
      (#"2["broadcast",{}]"#, "", #"{"type":"broadcast"}"#),
      (#"2["request",{"action":"time"}]"#, "", #"{"type":"request","action":"time"}"#),
      (#"2["join",{"room":7}]"#, "/c", #"{"type":"join","room":7}"#),
      (
        #"51-["message",{"room":"a","event":"e","args":[{"_placeholder":true,"num":0}]}]"#, "",
        #"{"type":"message","room":"a","event":"e","args":[{"$binary":"AQID"}]}"#
      ),
    ])
  func translates(_ packet: String, _ namespace: String, _ expected: String) throws {
    let (output, problem) = try operation(packet, namespace)
    #expect(problem == nil)
    #expect(output == expected)
  }

  @Test(
    "says what the event needs",
    arguments: [
      #"2["join"]"#, #"2["join",1]"#, #"2["join",""]"#, #"2["join","/chat"]"#, #"2["join",{"room":"/chat#x"}]"#,
      #"2["join","\ud800"]"#,
      #"2["message","hello"]"#, #"2["message"]"#, #"2["direct","ann","hi"]"#, #"2["broadcast",[1]]"#,
      #"2["request","time"]"#,
      #"2["presence",null]"#, #"2["history",[]]"#, #"2["leave"]"#,
    ])
  func refuses(_ packet: String) throws {
    let (output, problem) = try operation(packet, "")
    #expect(problem != nil && problem!.utf8CodeUnitCount > 15)
    #expect(output == "")
  }

  @Test("the parser of operations takes what was written")
  func parses() throws {
    for (packet, kind) in [
      (#"2["join","lobby"]"#, ClientOperation.Kind.join),
      (#"2["message",{"room":"a","event":"e","args":[]}]"#, .message),
      (#"2["request",{"action":"time","payload":1}]"#, .request), (#"2["presence","a"]"#, .presence),
    ] {
      let text = bytes(try operation(packet, "/chat").0)
      let parsed = try ClientOperation(parsing: text.span)
      #expect(parsed.kind == kind)
    }
  }

  private func operation(_ packet: String, _ namespace: String) throws -> (String, StaticString?) {
    let (parsed, arguments, bytes) = try parsed(packet)
    let found = try #require(arguments)
    guard case .operation(let operation) = EventName(of: found, in: bytes.span) else {
      Issue.record("not an operation: \(packet)")
      return ("", nil)
    }
    var output: [UInt8] = []
    let attachments: [[UInt8]] = parsed.attachmentCount > 0 ? [[1, 2, 3]] : []
    let problem = EventMapping.appendOperation(
      operation, found, in: bytes.span, attachments: attachments, namespace: Array(namespace.utf8).span, to: &output)
    return (text(output), problem)
  }
}
