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
        {"match": "x", "slow": "throttle", "throttle": "1s"}, {"match": "y"},
        {"match": "z", "presence-announce-max": 0, "presence-interval": "100ms", "leave-debounce": "1h"}
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
    #expect(rules.map(\.match) == ["ticker:*", "*", "x", "y", "z"])
    #expect(rules.map(\.slow) == [.latest, .dropOldest, .throttle, .disconnect, .disconnect])
    #expect(rules[1].queueBytes == 4096)
    #expect(rules[1].historySize == nil)
    #expect(rules.map(\.presenceAnnounceMax) == [nil, nil, nil, nil, 0])
    #expect(rules.map(\.presenceIntervalMilliseconds) == [nil, nil, nil, nil, 100])
    #expect(rules.map(\.leaveDebounceMilliseconds) == [nil, nil, nil, nil, 3_600_000])
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
      (#"[{"match":"a","presence-announce-max":100001}]"#, "presence-announce-max: \"100001\" is out of range"),
      (#"[{"match":"a","presence-announce-max":"5"}]"#, "rule 1: presence-announce-max: a string is not accepted"),
      (#"[{"match":"a","presence-interval":"99ms"}]"#, "presence-interval: \"99ms\" is out of range; expected 100ms"),
      (#"[{"match":"a","presence-interval":"61s"}]"#, "rule 1: presence-interval"),
      (#"[{"match":"a","leave-debounce":"61m"}]"#, "leave-debounce: \"61m\" is out of range; expected 0"),
      (#"[{"match":"a","leaveDebounce":"1s"}]"#, #"unknown key "leaveDebounce"; did you mean leave-debounce?"#),
      (#"[{"match":"a","presence":false,"leave-debounce":"1s"}]"#, "need presence, which this rule turns off"),
      (#"[{"match":"a","presence":false,"presence-interval":"1s"}]"#, "need presence, which this rule turns off"),
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
