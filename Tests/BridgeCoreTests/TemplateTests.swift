import Testing

@testable import BridgeCore
@testable import Settings

@Suite("Templates of bridges")
struct TemplateTests {
  private let names = ["key", "id", "topic", "header", "value"]

  private func outcome(
    _ input: BridgeInput, key: String? = "k", headers: [(String, String)] = [], _ value: String, bytesMax: Int = 1000
  ) -> RecordOutcome {
    let record = InboundRecord(
      source: Array("orders".utf8), key: key.map { Array($0.utf8) },
      headers: headers.map { (Array($0.0.utf8), Array($0.1.utf8)) }, value: Array(value.utf8), id: Array("0:7".utf8))
    return RecordMapping(input, bridge: "b", messageBytesMax: bytesMax).outcome(of: record, now: 5)
  }

  private func input(_ room: String, as member: String? = nil, user: String? = nil, id: String? = nil) throws
    -> BridgeInput
  {
    var input = BridgeInput()
    input.source = "orders"
    input.room = try BridgeTemplate(parsing: room, names: names)
    input.user = try user.map { try BridgeTemplate(parsing: $0, names: names) }
    input.id = try id.map { try BridgeTemplate(parsing: $0, names: names) }
    input.member = member
    return input
  }

  @Test("fills in key, headers and members of the JSON")
  func fills() throws {
    let cases: [(template: String, room: String?)] = [
      ("plain", "plain"), ("{key}", "k"), ("o:{key}:x", "o:k:x"), ("{header.tenant}", "acme"),
      ("{header.a.b}", "dotted"),
      ("{value.customer.id}", "17"), ("{value.name}", "ann"), ("{value.on}", "true"), ("{topic}/{id}", "orders/0:7"),
      // Missing, or no text: nothing is made of it.
      ("{header.none}", nil), ("{value.none}", nil), ("{value.customer}", nil), ("{value.nil}", nil),
      ("{value.name.first}", nil),
    ]
    let value = #"{"customer":{"id":17},"name":"ann","on":true,"nil":null}"#
    for entry in cases {
      let made = outcome(try input(entry.template), headers: [("tenant", "acme"), ("a.b", "dotted")], value)
      switch made {
      case .publish(let room, _, let id):
        #expect(String(decoding: room, as: UTF8.self) == entry.room, "\(entry.template)")
        #expect(id == Array("b:b:orders:0:7".utf8))
      case .deadLetter(let reason): #expect(entry.room == nil, "\(entry.template): \(reason)")
      }
    }
  }

  @Test("refuses what is no template and says what may stand there")
  func refuses() {
    for text in [
      "", "{", "}", "a}b", "{key", "{keys}", "{header}", "{value}", "{value.}", "{room}", "{key.x}", "{{key}}",
    ] {
      #expect(throws: SettingsError.self, "\(text)") { try BridgeTemplate(parsing: text, names: names) }
    }
  }

  @Test("a bad record is a dead letter with its reason, a good one a message with its members or as one member")
  func records() throws {
    let cases: [(value: String, member: String?, body: String?)] = [
      (#"{"a":1, "b":"x"}"#, nil, #""a":1, "b":"x""#), ("{}", nil, ""), ("[1,2]", "data", #""data":[1,2]"#),
      (#"{"id":1}"#, "data", #""data":{"id":1}"#),
      (#"{"id":1}"#, nil, nil), (#"{"type":"x"}"#, nil, nil), ("[1]", nil, nil), ("nonsense", nil, nil),
      ("nonsense", "data", nil), ("", nil, nil),
    ]
    for entry in cases {
      switch outcome(try input("r", as: entry.member), entry.value) {
      case .publish(_, let envelope, _):
        #expect(String(decoding: envelope, as: UTF8.self) == "m 5 - null\n\(entry.body ?? "no message")")
      case .deadLetter(let reason):
        #expect(entry.body == nil && !reason.isEmpty, "\(entry.value): \(reason)")
      }
    }
    #expect(outcome(try input("r"), key: nil, #"{"a":1}"#) != outcome(try input("{key}"), key: nil, #"{"a":1}"#))
    if case .publish = outcome(try input("r"), #"{"a":"0123456789"}"#, bytesMax: 10) {
      Issue.record("longer than max-message")
    }
    if case .publish = outcome(try input("{key}"), key: "a*", "{}") { Issue.record("a wildcard is no room") }
  }

  @Test("publishes in a user's name, and by an id of its own")
  func ownNames() throws {
    let value = #"{"who":"ann","n":4}"#
    guard case .publish(_, let envelope, let id) = outcome(try input("r", user: "{value.who}", id: "{value.n}"), value)
    else {
      Issue.record("a record with a user")
      return
    }
    #expect(String(decoding: envelope, as: UTF8.self).hasPrefix(#"m 5 - "ann""#))
    #expect(id == Array("b:b:orders:4".utf8))
    if case .publish = outcome(try input("r", id: "{value.none}"), value) { Issue.record("the id is missing") }
  }
}
