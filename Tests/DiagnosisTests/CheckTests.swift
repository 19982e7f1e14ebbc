import JSONCore
import RedisBackend
import Testing

@testable import Diagnosis

/// What is seen, and what it is judged as.
@Suite struct CheckTests {
  @Test("warns of limits of the machine that a busy node meets")
  func machine() {
    #expect(MachineChecks.openFiles(soft: 1024, hard: 1_048_576).verdict == .ok)
    #expect(MachineChecks.openFiles(soft: 1024, hard: 4096).verdict == .warn)
    #expect(MachineChecks.openFiles(soft: 1024, hard: 4096).change.contains("LimitNOFILE"))
    #expect(MachineChecks.acceptQueue(128).verdict == .warn)
    #expect(MachineChecks.acceptQueue(4096).verdict == .ok)
    #expect(MachineChecks.synQueue(128).verdict == .warn)
    #expect(MachineChecks.localPorts(32768, 60999).verdict == .warn)
    #expect(MachineChecks.localPorts(1024, 65535).verdict == .ok)
    #expect(MachineChecks.all().count >= 2)
  }

  @Test("warns of a certificate that ends soon, by the date as libcurl writes it (RFC 5280 section 4.1.2.5)")
  func certificate() {
    let end = "Dec  1 12:00:00 2027 GMT"
    let seconds = 1_827_662_400
    #expect(PathChecks.certificate(end, now: seconds - 100 * 86_400).verdict == .ok)
    #expect(PathChecks.certificate(end, now: seconds - 100 * 86_400).seen.contains("100 more days"))
    #expect(PathChecks.certificate(end, now: seconds - 5 * 86_400).verdict == .warn)
    #expect(PathChecks.certificate("some day", now: 0).verdict == .ok)
  }

  @Test("tells which program of bridges is missing, and which other side does not answer")
  func bridges() {
    #expect(BridgeChecks.program("/bin/sh").verdict == .ok)
    #expect(BridgeChecks.program("/nowhere/roost-bridges").change.contains("librdkafka"))
    #expect(BridgeChecks.judge("a", "h:1", problem: "Connection refused").verdict == .fail)
    #expect(BridgeChecks.all([]).map(\.verdict) == [.ok])
  }

  @Test("writes a line for people with what to change below it, and all as one JSON object")
  func text() throws {
    let findings = [Finding.ok("a", "b"), .fail("c", "d", "e")]
    #expect(findings.map(\.text) == ["ok    a: b\n", "fail  c: d\n      e\n"])
    let json = try JSONValue.parse(Finding.json(findings).span)
    #expect(json["findings"]?.asArray?.last?["change"]?.asString == "e")
  }
}
