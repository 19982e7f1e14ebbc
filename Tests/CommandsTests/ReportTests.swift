import ClientCore
import JSONCore
import Testing

@testable import Commands

@Suite struct ReportTests {
  private func members(_ json: String) throws -> [JSONValue] {
    try #require(try JSONValue.parse(Array(json.utf8).span).asArray)
  }

  @Test("shows each connection of a room with the age of its membership")
  func presence() throws {
    let members = try members(
      #"""
      [{"user":"ann","connections":[
         {"id":"n1-1","node":"n1","transport":"websocket","address":"10.0.0.1","since":100000},
         {"id":"n2-7","node":"n2","transport":"sse","address":"10.0.0.2","since":280000}],"info":{"a":[1,null,"x"]}},
       {"user":"bob\u001b[2J","connections":[
         {"id":"n1-2","node":"n1","transport":"websocket","address":"10.0.0.3","since":279500}]}]
      """#)
    let expected = """
      USER          CONNECTION  NODE  TRANSPORT  ADDRESS   SINCE   INFO
      ann           n1-1        n1    websocket  10.0.0.1  3m ago  {"a":[1,null,"x"]}
      ann           n2-7        n2    sse        10.0.0.2  now     {"a":[1,null,"x"]}
      bob\\u001b[2J  n1-2        n1    websocket  10.0.0.3  now
      lobby: 2 users, 3 connections

      """
    #expect(Report.presence(of: "lobby", members, now: 280_000) == expected)
  }

  @Test("shows what users say about themselves, and users who are leaving and have no connection any more")
  func leaving() throws {
    let members = try members(
      #"""
      [{"user":"ann","connections":[],"state":{"away":true}},
       {"user":"bob","connections":[
         {"id":"n1-2","node":"n1","transport":"websocket","address":"10.0.0.3","since":1000}]}]
      """#)
    let expected = """
      USER  CONNECTION  NODE  TRANSPORT  ADDRESS   SINCE  STATE
      ann   leaving     -     -          -         -      {"away":true}
      bob   n1-2        n1    websocket  10.0.0.3  now
      lobby: 2 users (1 leaving), 1 connection

      """
    #expect(Report.presence(of: "lobby", members, now: 1000) == expected)
    #expect(Report.presence(of: "a\tb", [], now: 0) == "a\\u0009b: 0 users, 0 connections\n")
  }

  @Test("shows the nodes with uptime and memory in units for people")
  func nodes() throws {
    let body = #"""
      {"nodes":[{"id":"n1","version":"0.1.0","uptime":3700,"connections":12,"rooms":3,"messagesIn":5,
        "messagesOut":600,"memory":19293798},{"id":"n2"}]}
      """#
    let expected = """
      NODE  VERSION  UPTIME  CONNECTIONS  ROOMS  IN  OUT    MEMORY
      n1    0.1.0     1h 1m           12      3   5  600  18.3 MiB
      n2    -             -            -      -   -    -         -
      2 nodes, 12 connections

      """
    #expect(try Report.nodes(Array(body.utf8), now: 0) == expected)
  }

  @Test("says so when there is nothing to show")
  func nothing() throws {
    #expect(Report.rooms([]) == "0 rooms\n")
    #expect(
      Report.rooms([], isComplete: false)
        == "0 rooms; those of a Redis master that is out of reach are missing\n")
    let body = Array(#"{"user":"ann","connections":[],"count":0}"#.utf8)
    #expect(try Report.user(body, now: 0) == "ann: 0 connections\n")
  }

  @Test(
    "takes an answer of another shape for that of another server",
    arguments: ["", "<html>", "[]", "{}", "{\"members\":1}"])
  func foreign(_ body: String) {
    do {
      _ = try AdminAnswer.list("members", in: Array(body.utf8))
      Issue.record("members in \(body)")
    } catch {
      #expect(error.status == ExitStatus.unexpectedAnswer)
    }
  }
}
