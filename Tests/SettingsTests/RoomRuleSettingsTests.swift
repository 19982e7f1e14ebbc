import Testing

@testable import Settings

@Suite("Settings, rules for rooms")
struct RoomRuleSettingsTests {
  private func rules(_ file: String) throws -> [RoomRuleSettings] {
    guard case .serve(let settings) = try parse(["--config", "r.json"], files: ["r.json": file]) else { return [] }
    return settings.rooms
  }

  private func refusal(_ rooms: String) -> String? {
    do {
      _ = try rules(#"{"rooms":\#(rooms)}"#)
      return nil
    } catch {
      return "\(error)"
    }
  }

  @Test("reads every key of a rule, and keeps the order of rules")
  func reads() throws {
    let rules = try rules(
      """
      {"port": 1, "rooms": [
        {"match": "ticker:*", "history-size": 0, "history-ttl": "30s", "presence": false, "join": true, "publish": false,
         "slow": "latest", "key": "symbol", "throttle": "100ms", "queue": "64k"},
        {"match": "*", "slow": "drop-oldest", "queue": 4096},
        {"match": "x", "slow": "throttle", "throttle": "1s"}, {"match": "y"}
      ]}
      """)
    var first = RoomRuleSettings()
    first.match = "ticker:*"
    first.historySize = 0
    first.historyTTLMilliseconds = 30_000
    first.presence = false
    first.publish = false
    first.slow = .latest
    first.key = "symbol"
    first.throttleMilliseconds = 100
    first.queueBytes = 65_536
    #expect(rules.first == first)
    #expect(rules.map(\.match) == ["ticker:*", "*", "x", "y"])
    #expect(rules.map(\.slow) == [.latest, .dropOldest, .throttle, .disconnect])
    #expect(rules[1].queueBytes == 4096)
    #expect(rules[1].historySize == nil)
  }

  @Test(
    "names the rule, counted from 1, and the key that is wrong",
    arguments: [
      (#"{"match":"a"}"#, "expected an array"), (#"[{"match":"a"},7]"#, "rule 2: expected an object"),
      (#"[{"history-size":1}]"#, "rule 1: match is missing"), (#"[{"match":""}]"#, "rule 1: match"),
      (
        #"[{"match":"a"},{"match":"b","historySize":1}]"#,
        #"rule 2: unknown key "historySize"; did you mean history-size?"#
      ),
      (#"[{"match":"a","zzz":1}]"#, #"rule 1: unknown key "zzz"; expected match, history-size"#),
      (#"[{"match":"a","join":false,"join":true}]"#, #"rule 1: key "join" stands twice"#),
      (#"[{"match":"a","history-size":-1}]"#, "rule 1: history-size: \"-1\" is out of range; expected 0 to 100000"),
      (#"[{"match":"a","history-size":"5"}]"#, "rule 1: history-size: a string is not accepted"),
      (#"[{"match":"a","history-ttl":"1ms"}]"#, "rule 1: history-ttl"),
      (#"[{"match":"a","presence":1}]"#, "rule 1: presence"),
      (#"[{"match":"a","join":"ann"}]"#, "rule 1: join"), (#"[{"match":"a","publish":null}]"#, "rule 1: publish: null"),
      (
        #"[{"match":"a","slow":"wait"}]"#,
        "rule 1: slow: \"wait\" is unknown; expected disconnect, drop-oldest, latest, throttle"
      ),
      (#"[{"match":"a","throttle":"1ms"}]"#, "rule 1: throttle: \"1ms\" is out of range; expected 10ms to 10s"),
      (#"[{"match":"a","throttle":100}]"#, "rule 1: throttle: a number"),
      (#"[{"match":"a","slow":"throttle"}]"#, "needs throttle, an interval"),
      (#"[{"match":"a","key":"k"}]"#, "rule 1: key needs"), (#"[{"match":"a","queue":4096}]"#, "rule 1: queue needs"),
      (#"[{"match":"a","slow":"latest","queue":"1k1"}]"#, "rule 1: queue"),
    ])
  func refuses(rooms: String, reason: String) {
    let message = refusal(rooms)
    #expect(message?.contains(reason) == true, "\(message ?? "accepted")")
    #expect(message?.hasPrefix("rooms in r.json: ") == true)
    #expect(message?.contains("\n") == false)
  }

  @Test("refuses more rules than a room should be tried against")
  func tooMany() {
    let rules = repeatElement(#"{"match":"a"}"#, count: RoomRuleSettings.rulesMax + 1).joined(separator: ",")
    #expect(refusal("[\(rules)]")?.contains("at most \(RoomRuleSettings.rulesMax)") == true)
  }

  @Test("knows rules for rooms in the file only")
  func fileOnly() {
    #expect(throws: SettingsError.self) { try parse(["--rooms", "[]"]) }
    #expect(throws: Never.self) { try parse([], ["ROOST_ROOMS": "x"]) }
  }
}
