import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("One node, incoming hooks")
struct IncomingHookTests {
  private static let secret = "a-secret-of-the-hook-tests"

  private func node(_ flags: [String] = []) throws -> RoostProcess {
    let hooks = ["github", "stripe", "roost"].map {
      #"{"name":"\#($0)","secret":["an-older-secret-of-it","\#(Self.secret)"],"scheme":"\#($0)","room":"events"}"#
    }
    let file = try SettingsFileOnDisk(#"{"hooks":[\#(hooks.joined(separator: ","))]}"#)
    return try withExtendedLifetime(file) { try RoostProcess(["--config", file.path] + flags) }
  }

  /// The headers that a sender of a scheme would send.
  private func headers(_ scheme: String, _ body: String, id: String = "d1", secret: String = secret) throws -> [String]
  {
    let now = time(nil)
    switch scheme {
    case "github":
      return [
        "X-Hub-Signature-256: sha256=\(try OpenSSL.hmac(body, secret: secret))", "X-GitHub-Event: push",
        "X-GitHub-Delivery: \(id)",
      ]
    case "stripe": return ["Stripe-Signature: t=\(now),v1=\(try OpenSSL.hmac("\(now).\(body)", secret: secret))"]
    default: return ["Roost-Signature: t=\(now),v1=\(try OpenSSL.hmac("\(now).\(body)", secret: secret))"]
    }
  }

  @Test(
    "publishes a signed event in the hook's room with user null, once for each delivery id",
    arguments: [
      ("github", "{ \"ref\" : \"refs/heads/main\" }\n", "push", #"{"ref":"refs/heads/main"}"#),
      ("stripe", #"{"id":"evt_1","type":"charge.succeeded"}"#, "charge.succeeded", nil),
      ("roost", #"{"id":"e1","event":"room_created","ts":1,"room":"r"}"#, "room_created", nil),
    ] as [(String, String, String, String?)])
  func publishes(scheme: String, body: String, event: String, published: String?) throws {
    let server = try node()
    let ann = try server.connect("ann")
    let epoch = try ann.join("events").string("epoch")
    for _ in 1...2 {
      // Signed anew each time, as the senders do.
      let answer = try server.http.ask("POST", "/hooks/\(scheme)", headers: headers(scheme, body), body: body)
      #expect(answer.status == 200, "\(answer)")
      #expect(try answer.json()["offset"]?.asInt == 1)
      #expect(try answer.json()["epoch"]?.asString == epoch)
    }
    let seen = try ann.settle()
    #expect(seen.count == 1)
    let message = try #require(seen.first)
    #expect(message.text.contains(#""user":null"#))
    #expect(
      message.text.hasSuffix(#""hook":"\#(scheme)","event":"\#(event)","body":\#(published ?? body)}"#), "\(message)")
    #expect(try server.metric(#"roost_incoming_hooks_total{outcome="published"}"#) == 2)
  }

  @Test("publishes deliveries with ids of their own, and those of two hooks with one id, each")
  func ids() throws {
    let server = try node()
    for (scheme, id, offset) in [("github", "a", 1), ("github", "b", 2), ("github", "a", 1)] {
      let answer = try server.http.ask("POST", "/hooks/\(scheme)", headers: headers(scheme, "{}", id: id), body: "{}")
      #expect(try answer.json()["offset"]?.asInt == offset)
    }
    let body = #"{"id":"a","type":"x","event":"x"}"#
    for (scheme, offset) in [("stripe", 3), ("roost", 4)] {
      let answer = try server.http.ask("POST", "/hooks/\(scheme)", headers: headers(scheme, body), body: body)
      #expect(try answer.json()["offset"]?.asInt == offset)
    }
  }

  @Test("answers 401, 400, 404, 405 and 413 in JSON, publishes nothing, and names no secret")
  func refusals() throws {
    let server = try node(["--max-message", "1k"])
    let http = server.http
    func refused(_ status: Int, _ path: String, _ headers: [String], _ body: String, says part: String) throws {
      let answer = try http.ask("POST", "/hooks/\(path)", headers: headers, body: body)
      #expect(answer.status == status, "\(path) \(body): \(answer)")
      #expect(try answer.json()["error"]?["message"]?.asString?.contains(part) == true, "\(answer)")
    }
    for scheme in ["github", "stripe", "roost"] {
      try refused(401, scheme, [], "{}", says: "is missing")
      try refused(401, scheme, headers(scheme, "{}", secret: "not-the-secret-of-it"), "{}", says: "not by a secret")
      try refused(401, scheme, headers(scheme, "{}"), "{ }", says: "not by a secret")
      for body in ["", "[]", "text", "{", "7"] {
        try refused(400, scheme, headers(scheme, body), body, says: "JSON object")
      }
      let long = #"{"id":"1","type":"x","event":"x","text":"\#(String(repeating: "a", count: 1000))"}"#
      try refused(413, scheme, headers(scheme, long), long, says: "--max-message")
      let answer = try http.get("/hooks/\(scheme)")
      #expect(answer.status == 405 && answer.header("allow") == "POST")
    }
    let repeated = #"{"id":"1","type":"x","event":"x","a":[{"b":1,"\u0062":2}]}"#
    for scheme in ["github", "stripe", "roost"] {
      try refused(400, scheme, headers(scheme, repeated), repeated, says: "twice")
      let huge = String(repeating: "a", count: 70_000)
      try refused(413, scheme, headers(scheme, huge), huge, says: "70000 bytes; --max-message allows 1024")
    }
    try refused(401, "stripe", ["Stripe-Signature: t=1,v1=\(String(repeating: "a", count: 64))"], "{}", says: "clock")
    try refused(401, "github", ["X-Hub-Signature-256: sha1=x"], "{}", says: "scheme github")
    try refused(400, "github", Array(headers("github", "{}").dropLast()), "{}", says: "X-GitHub-Delivery")
    try refused(400, "stripe", headers("stripe", "{}"), "{}", says: "type")
    try refused(400, "roost", headers("roost", #"{"event":"x"}"#), #"{"event":"x"}"#, says: "id")
    for name in ["", "other", "github/x", "git%68ub"] {
      try refused(404, name, headers("github", "{}"), "{}", says: "no such hook")
    }
    // A header that stands twice is refused before anybody reads it.
    let twice = try headers("github", "{}")
    #expect(try http.ask("POST", "/hooks/github", headers: twice + [twice[0]], body: "{}").status == 400)
    #expect(try server.inspect("history/events")["messages"]?.asArray?.isEmpty == true)
    #expect(try server.metric(#"roost_incoming_hooks_total{outcome="published"}"#) == 0)
    #expect(server.process.output.contains("refused the delivery of a hook"))
    #expect(!server.process.output.contains(Self.secret))
  }

  @Test("counts and logs a delivery that is too large, and says what a form needs")
  func tooLargeAndForms() throws {
    let server = try node(["--max-message", "1k"])
    func refused() throws -> Double { try server.metric(#"roost_incoming_hooks_total{outcome="refused"}"#) }
    // Just over a message, and more than anybody reads.
    for (number, count) in [1500, 70_000, 80_000].enumerated() {
      let body = String(repeating: "a", count: count)
      let answer = try server.http.ask("POST", "/hooks/github", headers: headers("github", body), body: body)
      #expect(answer.status == 413, "\(answer)")
      #expect(try refused() == Double(number + 1))
    }
    let line = try server.process.line(with: "--max-message allows 1024")
    #expect(line.contains("refused the delivery of a hook") && line.contains("github"), "\(line)")
    let form = "payload=%7B%7D"
    for type in ["application/x-www-form-urlencoded", "Application/X-WWW-Form-Urlencoded; charset=utf-8"] {
      let answer = try server.http.ask(
        "POST", "/hooks/github", headers: headers("github", form) + ["Content-Type: \(type)"], body: form)
      #expect(answer.status == 400 && answer.text.contains("choose the content type application/json"), "\(answer)")
    }
    _ = try server.process.line(with: "choose the content type")
    let output = server.process.output
    #expect(output.split(separator: "\n").count { $0.contains("--max-message allows 1024") } == 1, "\(output)")
    #expect(try refused() == 5)
    let large = String(repeating: "a", count: 70_000)
    #expect(try server.http.ask("POST", "/hooks/other", body: large).status == 413)
    #expect(try refused() == 5)
  }

  @Test("serves no hooks that the settings do not name")
  func none() throws {
    let server = try RoostProcess()
    #expect(try server.http.ask("POST", "/hooks/github", body: "{}").status == 404)
    #expect(try server.http.ask("POST", "/hooks", body: "{}").status == 404)
  }
}
