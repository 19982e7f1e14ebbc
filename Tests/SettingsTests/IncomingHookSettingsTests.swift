import Testing

@testable import Settings

@Suite("Settings, incoming hooks")
struct IncomingHookSettingsTests {
  private func hooks(_ value: String) throws -> [IncomingHookSettings] {
    let file = #"{"hooks":\#(value)}"#
    guard case .serve(let settings) = try parse(["--config", "h.json"], files: ["h.json": file]) else { return [] }
    return settings.hooks
  }

  private func refusal(_ value: String) -> String? {
    do {
      _ = try hooks(value)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test("reads hooks with one secret or several")
  func reads() throws {
    let hooks = try hooks(
      """
      [{"name": "github", "secret": "a, secret, of it", "scheme": "github", "room": "commits"},
       {"room": "payments", "scheme": "stripe", "secret": ["whsec_0123456789", "whsec_9876543210"], "name": "pay-1.x_y"}]
      """)
    #expect(hooks.map(\.name) == ["github", "pay-1.x_y"])
    #expect(hooks.map(\.scheme) == [.github, .stripe])
    #expect(hooks.map(\.room) == ["commits", "payments"])
    #expect(hooks.map(\.secrets) == [["a, secret, of it"], ["whsec_0123456789", "whsec_9876543210"]])
    #expect(try self.hooks("[]").isEmpty)
  }

  @Test("refuses what is wrong, names hook and key, and keeps secrets out of the message")
  func refuses() {
    let rest = #""scheme":"github","room":"r""#
    let secret = #""secret":"0123456789abcdef""#
    let cases = [
      ("{}", "array"), ("[7]", "hook 1: expected an object"), ("[{}]", "hook 1: name is missing"),
      (#"[{"name":"a"}]"#, "secret is missing"), (#"[{"name":"a",\#(secret)}]"#, "scheme is missing"),
      (#"[{"name":"a",\#(secret),"scheme":"roost"}]"#, "room is missing"),
      (#"[{"name":"a/b",\#(secret),\#(rest)}]"#, "no name of a hook"),
      (#"[{"name":"..",\#(secret),\#(rest)}]"#, "name"),
      (#"[{"name":"",\#(secret),\#(rest)}]"#, "name"), (#"[{"name":7,\#(secret),\#(rest)}]"#, "name"),
      (#"[{"name":"a",\#(secret),"scheme":"gitlab","room":"r"}]"#, "github, stripe, roost"),
      (#"[{"name":"a",\#(secret),"scheme":"github","room":"r*"}]"#, "no room"),
      (#"[{"name":"a",\#(secret),"scheme":"github","room":"\#(String(repeating: "r", count: 201))"}]"#, "no room"),
      (#"[{"name":"a","secret":["PRIVATE",""],\#(rest)}]"#, "is empty"),
      (#"[{"name":"a","secret":[],\#(rest)}]"#, "1 to 8"), (#"[{"name":"a","secret":[7],\#(rest)}]"#, "strings"),
      (#"[{"name":"a",\#(secret),\#(rest),"rooms":"x"}]"#, "did you mean room"),
      (#"[{"name":"a","name":"b",\#(secret),\#(rest)}]"#, "twice"),
      (#"[{"name":"a",\#(secret),\#(rest)},{"name":"a",\#(secret),\#(rest)}]"#, "hook 2: name \"a\""),
    ]
    for (value, part) in cases {
      let refusal = refusal(value)
      #expect(
        refusal?.contains(part) == true && refusal?.contains("hooks in h.json") == true, "\(value): \(refusal ?? "-")")
      #expect(refusal?.contains("PRIVATE") == false)
    }
  }
}
