import JSONCore
import RoostServer
import TestSupport
import Testing

/// The programs of docs/embedding.md, as they are.
@Suite("The examples of embedding")
struct ExampleTests {
  private static func start(_ name: String) throws -> (ChildProcess, port: UInt16) {
    let roost = try RoostProcess.binary()
    let folder = roost.prefix(upTo: roost.lastIndex(of: "/") ?? roost.endIndex)
    let process = try ChildProcess(["\(folder)/\(name)", "0"])
    let line = try Received(try process.line(with: #""message":"listening""#))
    guard let port = line.int("port").flatMap({ UInt16(exactly: $0) }) else { throw TestFailure("no port: \(line)") }
    return (process, port)
  }

  @Test("the chat backend: accounts, private rooms, a filter, a request, a greeting")
  func chat() throws {
    let (process, port) = try ExampleTests.start("ChatExample")
    defer { process.kill() }
    let ada = try client(port, "x", token: "token-of-ada")
    #expect(try ada.expect("auth_success").string("user") == "ada")
    #expect(try client(port, "x", token: "guess").expect("auth_failed").string("reason") == "sign in first")
    try ada.join("lobby")
    let ben = try client(port, "x", token: "token-of-ben")
    try ben.join("lobby")
    _ = try ada.expect("message") { $0.string("text") == "welcome, ben" }
    #expect(try ben.ask(#""type":"join","room":"private:ada""#).string("code") == "forbidden")
    try ada.publish("lobby", #""text":"damn slow""#)
    _ = try ben.expect("message") { $0.string("text") == "**** slow" }
    let profile = try ben.ask(#""type":"request","action":"profile""#)
    #expect(profile["payload"]?["name"]?.asString == "ben" && profile["payload"]?["visits"]?.asInt == 1)
  }

  @Test("the price ticker: prices by wildcard, a quote, no publishing")
  func ticker() throws {
    let (process, port) = try ExampleTests.start("TickerExample")
    defer { process.kill() }
    let ada = try client(port, "ada")
    try ada.expect("welcome")
    try ada.ask(#""type":"join","room":"price:*""#)
    for symbol in ["AAA", "BBB", "CCC"] { _ = try ada.expect("message") { $0.string("room") == "price:\(symbol)" } }
    let quote = try ada.ask(#""type":"request","action":"quote","payload":"AAA""#)
    #expect((quote["payload"]?["price"]?.asDouble ?? 0) > 0, "\(quote)")
    let unknown = try ada.ask(#""type":"request","action":"quote","payload":"DDD""#)
    #expect(unknown["error"]?["code"]?.asString == "not_found")
    try ada.join("price:AAA")
    #expect(try ada.ask(#""type":"message","room":"price:AAA","price":1"#).string("message") == "prices are read only")
  }
}
