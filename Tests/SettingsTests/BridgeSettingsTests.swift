import Testing

@testable import Settings

@Suite("Settings, bridges")
struct BridgeSettingsTests {
  private func bridges(_ value: String) throws -> [BridgeSettings] {
    let file = #"{"redis":"redis://h","bridges":\#(value)}"#
    guard case .serve(let settings) = try parse(["--config", "b.json"], files: ["b.json": file]) else { return [] }
    return settings.bridges
  }

  @Test("reads bridges to Kafka and RabbitMQ")
  func reads() throws {
    let bridges = try bridges(
      """
      [{"name":"a","kind":"kafka","url":"kafkas://u:p%40@h1,h2:9999","sasl":"SCRAM-SHA-512","ca":"/ca","group":"g",
        "options":{"session.timeout.ms":"6000"},
        "in":[{"topic":"t","room":"r:{key}","user":"{header.user}","as":"data","id":"{value.id}","deadLetter":"bad"}],
        "out":[{"match":"chat:*","topic":"o","key":"{value.a.b}"}]},
       {"name":"b","kind":"amqp","url":"amqp://h/v%2Fh","in":[{"queue":"q","room":"r"}],"out":[{"match":"*","exchange":""}]}]
      """)
    #expect(bridges.map(\.name) == ["a", "b"] && bridges.map(\.kind) == [.kafka, .amqp])
    #expect(bridges[0].url?.hosts.map(\.description) == ["h1:9093", "h2:9999"])
    #expect(bridges[0].url?.password == "p@" && bridges[0].url?.usesTLS == true)
    #expect(bridges[0].url?.description == "kafkas://h1:9093,h2:9999")
    #expect(bridges[0].login == .scram512 && bridges[0].options.map(\.value) == ["6000"])
    #expect(bridges[0].inputs[0].deadLetterName == "bad" && bridges[1].inputs[0].deadLetterName == "q.dead-letter")
    #expect(bridges[1].url?.virtualHost == "v/h" && bridges[1].url?.hosts[0].port == 5672)
    #expect(try self.bridges("[]").isEmpty)
  }

  @Test("refuses what is wrong, names bridge and key, and keeps the URL out of the message")
  func refuses() {
    let url = #""kind":"kafka","url":"kafka://u:PRIVATE@h""#
    let out = #""out":[{"match":"*","topic":"t"}]"#
    let cases = [
      ("{}", "array"), ("[7]", "bridge 1: expected an object"), ("[{}]", "name is missing"),
      (#"[{"name":"a b",\#(url),\#(out)}]"#, "name"), (#"[{"name":"a","url":"kafka://h",\#(out)}]"#, "kind is missing"),
      (#"[{"name":"a","kind":"sqs","url":"kafka://h",\#(out)}]"#, "kafka, amqp"),
      (#"[{"name":"a","kind":"amqp","url":"kafka://PRIVATE:x@h",\#(out)}]"#, "not of the kind amqp"),
      (#"[{"name":"a","kind":"kafka","url":"http://PRIVATE",\#(out)}]"#, "unknown scheme"),
      (#"[{"name":"a","kind":"kafka","url":"kafka://h/x",\#(out)}]"#, "path"),
      (#"[{"name":"a",\#(url)}]"#, "neither in nor out"),
      (#"[{"name":"a",\#(url),"out":[{"match":"*"}]}]"#, "out 1: topic is missing"),
      (#"[{"name":"a",\#(url),"out":[{"match":"*","exchange":"t"}]}]"#, "unknown key"),
      (#"[{"name":"a",\#(url),"out":[{"match":"*","topic":"t","key":"{header.x}"}]}]"#, "no meaning here"),
      (#"[{"name":"a",\#(url),"in":[{"topic":"t"}]}]"#, "room is missing"),
      (#"[{"name":"a",\#(url),"in":[{"topic":"t","room":"{key"}]}]"#, "brace"),
      (#"[{"name":"a",\#(url),"in":[{"topic":"t","room":"r","as":"ts"}]}]"#, "name of the protocol"),
      (#"[{"name":"a",\#(url),"in":[{"topic":"t","room":"r","deadLetter":"t"}]}]"#, "source itself"),
      (#"[{"name":"a",\#(url),"in":[{"topic":"t","room":"r"},{"topic":"t","room":"s"}]}]"#, "stands twice"),
      (#"[{"name":"a",\#(url),\#(out),"in":[{"topic":"t","room":"r"}]}]"#, "circle"),
      (#"[{"name":"a",\#(url),\#(out),"options":{"enable.idempotence":"false"}}]"#, "cannot be changed"),
      (#"[{"name":"a",\#(url),\#(out),"options":{"a":1}}]"#, "no string"),
      (#"[{"name":"a",\#(url),\#(out),"ca":"/x"}]"#, "kafkas://"),
      (#"[{"name":"a",\#(url),\#(out),"cert":"/x"}]"#, "key"),
      (#"[{"name":"a",\#(url),\#(out),"names":"x"}]"#, "did you mean name"),
      (#"[{"name":"a",\#(url),\#(out)},{"name":"a",\#(url),\#(out)}]"#, "stands twice"),
    ]
    for (value, part) in cases {
      do {
        _ = try bridges(value)
        Issue.record("\(value) is accepted")
      } catch {
        #expect("\(error)".contains(part) && "\(error)".contains("bridges in b.json"), "\(value): \(error)")
        #expect(!"\(error)".contains("PRIVATE"))
      }
    }
  }

  @Test("bounds how many there are")
  func bounds() {
    let entry = { (n: Int) in #"{"name":"\#(n)","kind":"kafka","url":"kafka://h","out":[{"match":"*","topic":"t"}]}"# }
    #expect(throws: Never.self) { try bridges("[\((0..<16).map(entry).joined(separator: ","))]") }
    #expect(throws: SettingsError.self) { try bridges("[\((0..<17).map(entry).joined(separator: ","))]") }
  }

  @Test("bridges need Redis")
  func embedded() {
    let file = #"{"bridges":[{"name":"a","kind":"kafka","url":"kafka://h","out":[{"match":"*","topic":"t"}]}]}"#
    #expect(throws: SettingsError.self) { try parse(["--config", "b.json"], files: ["b.json": file]) }
  }
}
