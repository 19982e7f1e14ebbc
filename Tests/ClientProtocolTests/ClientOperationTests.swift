import JSONCore
import Testing

@testable import ClientProtocol

@Suite("Client operation")
struct ClientOperationTests {
  private func parse(_ text: String) throws(ProtocolError) -> ClientOperation {
    try ClientOperation(parsing: Array(text.utf8).span)
  }

  private func failure(_ text: String) -> ProtocolError? {
    do throws(ProtocolError) {
      _ = try parse(text)
      return nil
    } catch { return error }
  }

  private func passed(_ text: String) throws -> String {
    let bytes = Array(text.utf8)
    let operation = try ClientOperation(parsing: bytes.span)
    var output: [UInt8] = []
    operation.passThrough.appendMembers(of: bytes.span, to: &output)
    #expect(output.count == operation.passThrough.byteCount)
    return String(decoding: output, as: UTF8.self)
  }

  @Test("reads a message with all that belongs to the protocol")
  func readsMessage() throws {
    let text = Array(#"{"type":"message","room":"r:é","id":"a\u0031","echo":true,"text":"hi"}"#.utf8)
    let operation = try ClientOperation(parsing: text.span)
    #expect(operation.kind == .message)
    #expect(operation.room?.decoded(in: text.span) == Array("r:é".utf8))
    #expect(operation.id.map { String(decoding: text[$0], as: UTF8.self) } == #""a\u0031""#)
    #expect(operation.decodedID(in: text.span) == Array("a1".utf8))
    #expect(operation.echo)
    #expect(try passed(String(decoding: text, as: UTF8.self)) == #""text":"hi""#)
  }

  @Test(
    "passes other members byte for byte and in order",
    arguments: [
      (
        #"{"type":"message","room":"r","a":12345678901234567890, "b" : { "x":[1 ,2]},"\u0063":"\u00e9"}"#,
        #""a":12345678901234567890, "b" : { "x":[1 ,2]},"\u0063":"\u00e9""#
      ),
      (#"{"a":1,"type":"message","b":2,"room":"r","c":3}"#, #""a":1,"b":2,"c":3"#),
      (
        #"{"a":1,"id":"1","b":2,"id":"2","c":3,"ts":0,"d":4,"ts":0,"e":5,"ts":0,"f":6,"g":7,"type":"message","room":"r"}"#,
        #""a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7"#
      ),
      (#"{"type":"message","room":"r"}"#, ""),
      (#"{"type":"message","room":"r","a":1,"a":2,"":3}"#, #""a":1,"a":2,"":3"#),
      (
        #"{"type":"message","room":"r","to":"x","token":1,"since":2,"limit":"x","action":{},"payload":[]}"#,
        #""to":"x","token":1,"since":2,"limit":"x","action":{},"payload":[]"#
      ),
      (#"{"type":"broadcast","room":1,"a":1,"to":"x"}"#, #""a":1,"to":"x""#),
      (#"{"a":1,"to":"u","b":2,"type":"direct","t\u006f":"v"}"#, #""a":1,"b":2"#),
      (#"{"type":"request","action":"a","b":2,"payload":1}"#, ""),
    ])
  func passesMembers(_ text: String, _ members: String) throws {
    #expect(try passed(text) == members)
  }

  @Test(
    "never passes a member that the protocol owns, however its key is spelled",
    arguments: ["type", "room", "user", "offset", "ts", "id", "echo", "ephemeral"], ["message", "direct", "broadcast"])
  func dropsReserved(_ key: String, _ type: String) throws {
    let hex = key.unicodeScalars.map { String($0.value, radix: 16) }
    let spellings = [
      key, hex.map { "\\u00" + $0 }.joined(), hex.map { "\\u00" + $0.uppercased() }.joined(),
      "\\u00" + hex[0] + key.dropFirst(),
    ]
    for spelling in spellings {
      // The needed members follow, so that they win over the doubled one.
      let needed = #""type":"\#(type)","room":"r","to":"u","id":"i","echo":false,"ephemeral":false"#
      let result = try passed(#"{"x":1,"\#(spelling)":"evil",\#(needed),"y":2}"#)
      #expect(result == (type == "direct" ? #""x":1,"y":2"# : #""x":1,"to":"u","y":2"#))
    }
  }

  @Test("takes the last of repeated members, as receivers do")
  func lastWins() throws {
    let text = Array(#"{"type":"ping","room":"a","type":"message","room":1,"r\u006fom":"b","id":"1","id":"2"}"#.utf8)
    let operation = try ClientOperation(parsing: text.span)
    #expect(operation.kind == .message)
    #expect(operation.room?.decoded(in: text.span) == Array("b".utf8))
    #expect(operation.decodedID(in: text.span) == Array("2".utf8))
  }

  @Test("reads every type with the members it needs")
  func readsTypes() throws {
    let texts: [ClientOperation.Kind: String] = [
      .auth: #""token":"t""#, .join: #""room":"r","since":{"offset":7,"epoch":"1f"}"#, .leave: #""room":"r""#,
      .message: #""room":"r""#, .direct: #""to":"u""#, .broadcast: #""x":1"#, .presence: #""room":"r""#,
      .history: #""room":"r","limit":5,"since":{"epoch":"1f","offset":0,"more":1}"#,
      .state: #""room":"r","state":{"away":true}"#, .request: #""action":"time","payload":{"a": 1}"#, .ping: #""x":1"#,
    ]
    for kind in ClientOperation.Kind.allCases {
      let text = Array(#"{"type":"\#(kind.rawValue)",\#(texts[kind] ?? "")}"#.utf8)
      let operation = try ClientOperation(parsing: text.span)
      #expect(operation.kind == kind)
      switch kind {
      case .auth: #expect(operation.token?.decoded(in: text.span) == Array("t".utf8))
      case .join: #expect(operation.since == Position(epoch: try #require(Epoch(0x1F)), offset: 7))
      case .history:
        #expect(operation.since == Position(epoch: try #require(Epoch(0x1F)), offset: 0))
        #expect(operation.limit == 5)
      case .direct: #expect(operation.to?.decoded(in: text.span) == Array("u".utf8))
      case .request:
        #expect(operation.action?.decoded(in: text.span) == Array("time".utf8))
        #expect(operation.payload.map { String(decoding: text[$0], as: UTF8.self) } == #"{"a": 1}"#)
      default: break
      }
    }
    #expect(try parse(#"{"t\u0079pe":"\u0070ing"}"#).kind == .ping)
    #expect(try parse(#"{"type":"join","room":"r","since":null}"#).since == nil)
    // An epoch that no server gave is not an error: nothing can be recovered from it, and that is the answer.
    for text in ["0", "bogus", "", "1F"] {
      let since = try parse(#"{"type":"join","room":"r","since":{"epoch":"\#(text)","offset":1}}"#).since
      #expect(since == Position(epoch: .unknown, offset: 1))
    }
  }

  @Test(
    "answers what is wrong with the code for it",
    arguments: [
      ("", .badRequest, "malformed JSON"), ("[]", .badRequest, "object"), ("\"x\"", .badRequest, "object"),
      (#"{"type":"ping""#, .badRequest, "malformed JSON"), (#"{"type":"nonsense"} x"#, .badRequest, "malformed JSON"),
      (#"{"type":"join","room":"","x":tru}"#, .badRequest, "malformed JSON"), ("{}", .badRequest, "type"),
      (#"{"type":1}"#, .badRequest, "type"), (#"{"type":"sing"}"#, .unknownType, "\"sing\""),
      (#"{"type":""}"#, .unknownType, "expected"), (#"{"type":"\ud800"}"#, .unknownType, "expected"),
      (#"{"type":"Ping"}"#, .unknownType, "\"Ping\""), (#"{"type":"join"}"#, .badRequest, "room"),
      (#"{"type":"message","room":5}"#, .badRequest, "room"), (#"{"type":"leave","room":null}"#, .badRequest, "room"),
      (#"{"type":"join","room":""}"#, .badRoom, "200 bytes"), (#"{"type":"join","room":"a\u0000"}"#, .badRoom, "room"),
      (#"{"type":"join","room":"\ud800"}"#, .badRoom, "room"), (#"{"type":"join","room":"\u0085"}"#, .badRoom, "room"),
      (#"{"type":"join","room":"r","since":"1:2"}"#, .badRequest, "since"),
      (#"{"type":"join","room":"r","since":{"epoch":"1f"}}"#, .badRequest, "since"),
      (#"{"type":"join","room":"r","since":{"epoch":0,"offset":1}}"#, .badRequest, "since"),
      (#"{"type":"join","room":"r","since":{"epoch":"1f","offset":-1}}"#, .badRequest, "since"),
      (
        #"{"type":"join","room":"r","since":{"epoch":"1f","offset":9007199254740992}}"#, .badRequest,
        "since.offset must be a whole number from 0 to 9007199254740991"
      ),
      (
        #"{"type":"history","room":"r","since":{"epoch":"1f","offset":18446744073709551615}}"#, .badRequest,
        "since.offset"
      ),
      (#"{"type":"history","room":"r","limit":9223372036854775808}"#, .badRequest, "limit"),
      (#"{"type":"join","room":"r","since":{"epoch":"1f","offset":1,"offset":1.5}}"#, .badRequest, "since"),
      (#"{"type":"history","room":"r","limit":0}"#, .badRequest, "limit"),
      (#"{"type":"history","room":"r","limit":1.5}"#, .badRequest, "limit"),
      (#"{"type":"history","room":"r","limit":"9"}"#, .badRequest, "limit"),
      (#"{"type":"message","room":"r","echo":"yes"}"#, .badRequest, "echo"),
      (#"{"type":"direct"}"#, .badRequest, "to"), (#"{"type":"direct","to":""}"#, .badRequest, "to"),
      (#"{"type":"direct","to":"\udc00"}"#, .badRequest, "to"), (#"{"type":"auth","token":1}"#, .badRequest, "token"),
      (#"{"type":"request"}"#, .badRequest, "action"), (#"{"type":"ping","id":7}"#, .badRequest, "id"),
      (#"{"type":"ping","id":null}"#, .badRequest, "id"), (#"{"type":"ping","id":"\ud800"}"#, .badRequest, "id"),
    ] as [(String, ErrorCode, String)])
  func refuses(_ text: String, _ code: ErrorCode, _ words: String) throws {
    let error = try #require(failure(text))
    #expect(error.code == code)
    #expect(error.message.contains(words), "\(error.message)")
  }

  @Test("carries a valid id into the error and no other")
  func carriesID() throws {
    let text = #"{"id":"x\n7","type":"nope"}"#
    let error = try #require(failure(text))
    #expect(error.id.map { String(decoding: Array(text.utf8)[$0], as: UTF8.self) } == #""x\n7""#)
    #expect(failure(#"{"id":7,"type":"nope"}"#)?.id == nil)
    #expect(failure(#"{"id":"7","type":"nope""#)?.id == nil)
    let long = String(repeating: "x", count: 64)
    #expect(try parse(#"{"type":"ping","id":"\#(long)"}"#).id != nil)
    #expect(failure(#"{"type":"ping","id":"\#(long)x"}"#)?.code == .badRequest)
    let escaped = String(repeating: "\\u0078", count: 64)
    #expect(try parse(#"{"type":"ping","id":"\#(escaped)"}"#).id != nil)
    #expect(failure(#"{"type":"ping","id":"\#(escaped)x"}"#)?.code == .badRequest)
  }

  @Test("does not repeat an unknown type without bound")
  func boundsMessages() throws {
    let error = try #require(failure(#"{"type":"\#(String(repeating: "x", count: 60_000))"}"#))
    #expect(error.code == .unknownType)
    #expect(error.message.utf8.count < 300)
  }
}
