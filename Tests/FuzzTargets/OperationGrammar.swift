/// Makes operations and admin requests of an input's bytes: every byte chooses the next word of a grammar, so nearly every
/// input is something that the server understands, and reaches what lies behind the parsers.
struct OperationGrammar {
  private var rest: ArraySlice<UInt8>
  /// An epoch that a room has, as the server told it last; empty before that.
  var knownEpoch = ""

  init(_ input: [UInt8]) { rest = input[...] }

  var isAtEnd: Bool { rest.isEmpty }

  /// Takes a byte; 0 at the end.
  mutating func byte() -> Int { Int(rest.popFirst() ?? 0) }

  private mutating func one(of words: [String]) -> String { words[byte() % words.count] }

  /// Numbers at the edges of every type that a number could be read into.
  private static let numbers = [
    "0", "1", "2", "3", "5", "100", "1000", "1001", "-1", "-0", "01", "1.5", "1e3", "1e400", "2147483647", "2147483648",
    "4294967295", "4294967296", "9007199254740990", "9007199254740991", "9007199254740992", "9223372036854775807",
    "9223372036854775808", "-9223372036854775808", "18446744073709551614", "18446744073709551615",
    "18446744073709551616", "99999999999999999999999999", "null", "\"5\"", "true", "[]", "{}",
  ]
  private static let rooms = [
    "r", "r", "r", "empty", "one", "full", "w:1", "w:2", "w:*", "*", "", " ", "a}:meta", "\\u0072", "\\ud800",
    "\\u0000",
    "quiet", String(repeating: "x", count: 200), String(repeating: "x", count: 201),
  ]
  private static let users = ["ann", "bob", "nobody", "", "\\ud83d\\ude00", "\\udc00", "a\\\"b"]

  mutating func number() -> String { one(of: Self.numbers) }
  mutating func room() -> String { one(of: Self.rooms) }
  private mutating func user() -> String { one(of: Self.users) }

  private mutating func epoch() -> String {
    one(of: [
      knownEpoch, knownEpoch, "1", "1f", "ffffffffffffffff", "10000000000000000", "0", "01", "xyz", "", "\\u0031",
    ])
  }

  private mutating func since() -> String {
    switch byte() % 8 {
    case 0: number()
    case 1: #"{"epoch":"\#(epoch())"}"#
    case 2: #"{"offset":\#(number())}"#
    default: #"{"epoch":"\#(epoch())","offset":\#(number())}"#
    }
  }

  private mutating func members() -> String {
    switch byte() % 7 {
    case 0: #","text":"hello""#
    case 1: #","offset":\#(number()),"ts":\#(number()),"n":\#(number())"#
    case 2: #","user":"eve","text":"\ud800","echo":true"#
    case 3: #","echo":\#(number())"#
    case 5:
      one(of: [
        #","traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01""#,
        #","n":1,"traceparent":"cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00-x""#,
        #","traceparent":\#(number())"#,
      ])
    case 4: String(repeating: #","deep":[[{"a":[1]}]]"#, count: 1 + byte() % 8)
    default: ""
    }
  }

  /// One client operation as text, with its `id` if it has one that is valid.
  mutating func operation() -> (text: String, id: String?) {
    var id: String?
    var idMember = ""
    switch byte() % 4 {
    case 0: break
    case 1: idMember = #""id":\#(number()),"#
    default:
      id = "i\(byte() % 8)"
      idMember = #""id":"\#(id!)","#  // Safe because it was set in the line before.
    }
    let body: String
    switch byte() % 14 {
    case 0: body = #""type":"join","room":"\#(room())""#
    case 1, 2: body = #""type":"join","room":"\#(room())","since":\#(since())"#
    case 3: body = #""type":"leave","room":"\#(room())""#
    case 4, 5: body = #""type":"message","room":"\#(room())"\#(members())"#
    case 6: body = #""type":"direct","to":"\#(user())"\#(members())"#
    case 7: body = #""type":"broadcast"\#(members())"#
    case 8: body = #""type":"presence","room":"\#(room())","limit":\#(number()),"after":"\#(user())""#
    case 9: body = #""type":"history","room":"\#(room())","limit":\#(number())"#
    case 10: body = #""type":"history","room":"\#(room())","limit":\#(number()),"since":\#(since())"#
    case 11:
      body =
        #""type":"request","action":"\#(one(of: ["time", "whoami", "rooms", "other", ""]))","payload":\#(number())"#
    case 12: body = #""type":"\#(one(of: ["ping", "auth", "state", "message ", ""]))","token":"t","state":{"a":1}"#
    default: body = #""type":"message","room":"\#(room())","ephemeral":\#(number())\#(members())"#
    }
    return ("{\(idMember)\(body)}", id)
  }

  /// A binary message: marker, room's length, room, payload, any of which may be wrong.
  mutating func binary() -> [UInt8] {
    let name = Array(room().utf8)
    let length = byte() % 8 == 0 ? UInt8(byte()) : UInt8(clamping: name.count)
    return [byte() % 8 == 0 ? 2 : 1, length] + name + [UInt8](repeating: 0xFF, count: byte() % 16)
  }

  private mutating func query() -> String {
    var text = ""
    for _ in 0..<(byte() % 4) {
      let name = one(of: ["limit", "cursor", "prefix", "since", "after", "limit"])
      let value: String
      switch name {
      case "limit": value = number()
      case "since": value = "\(epoch()):\(number())"
      default: value = one(of: ["r", "%00", "%ff", "", "w:", "zzz", number()])
      }
      text += (text.isEmpty ? "?" : "&") + name + "=" + value.filter { !" \"\\".contains($0) }
    }
    return text
  }

  /// An admin request: method, target, body.
  mutating func adminRequest() -> (method: String, target: String, body: String) {
    let name = one(of: ["r", "empty", "full", "ann", "n1-0", "n1-zzzzzzzzzzzzz", "%00", "%F0%9F%98%80", "w:*", "-"])
    switch byte() % 15 {
    case 12:
      return (
        "POST", "publish",
        #"{"rooms":["\#(room())","\#(room())",\#(one(of: ["\"r\"", "7", "\"\\ud800\""]))],"data":{"n":\#(number())}}"#
      )
    case 13:
      let lines = (0..<(byte() % 5)).map { _ in
        let type = one(of: ["publish", "direct", "broadcast", "revoke"])
        return one(of: [
          #"{"type":"\#(type)","room":"\#(room())","data":{}}"#, #"{"type":"\#(type)","to":"\#(user())","data":{}}"#,
          #"{"type":"publish","rooms":["\#(room())","r"],"data":{},"id":"\#(number())"}"#, "{", "", "\r",
        ])
      }
      return ("POST", "batch", lines.joined(separator: "\n"))
    case 14:
      let whose = one(of: [#""user":"\#(user())""#, #""connection":"\#(name)""#])
      return (
        "POST", one(of: ["subscribe", "unsubscribe", "drain"]),
        one(of: [#"{\#(whose),"room":"\#(room())"}"#, #"{"node":"\#(user())"}"#, ""])
      )
    case 0: return ("GET", "presence/\(name)" + query(), "")
    case 1: return ("GET", "presence" + query(), "")
    case 2: return ("GET", "rooms" + query(), "")
    case 3: return ("GET", one(of: ["nodes", "", "nothing", "openapi.json"]) + query(), "")
    case 4: return ("GET", "users/\(name)" + query(), "")
    case 5: return ("GET", "connections/\(name)" + query(), "")
    case 6, 7: return ("GET", "history/\(name)" + query(), "")
    case 8: return ("POST", "publish", #"{"room":"\#(room())","data":{"n":\#(number())}}"#)
    case 9: return ("POST", "direct", #"{"to":"\#(user())","data":{"n":\#(number())}}"#)
    case 10:
      let length = one(of: ["1s", "24h", "9999999999h", "99999999999999999999h", "-1s", "0", "8760h"])
      return ("POST", "revoke", #"{"\#(one(of: ["user", "token"]))":"\#(user())","for":"\#(length)"}"#)
    default:
      return (
        "POST", one(of: ["disconnect", "broadcast"]), #"{"user":"\#(user())","data":{},"connection":\#(number())}"#
      )
    }
  }
}
