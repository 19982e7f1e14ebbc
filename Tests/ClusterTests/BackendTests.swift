import TestSupport
import Testing

@Suite("Cluster and its backend")
struct ClusterBackendTests {
  @Test("decisions hold on every node: messages keep their order, and who comes back is asked about again")
  func decisions() throws {
    let backend = try DecidingBackend()
    let cluster = try Cluster(2, backend.flags("join,message"))
    let clients = try cluster.members(of: "a")
    for n in 0..<20 {
      let text = n % 4 == 0 ? "slow" : n % 4 == 1 ? "spam" : "damn"
      try clients[0].send(#"{"type":"message","room":"a","n":\#(n),"text":"\#(text) \#(n)"}"#)
    }
    try clients[0].send(#"{"type":"message","room":"a","end":"all"}"#)
    let seen = try clients[1].messages(until: "all")
    let expected = (0..<20).filter { $0 % 4 != 1 }.map { $0 % 4 == 0 ? "slow \($0)" : "d*** \($0)" }
    #expect(seen.compactMap { $0.string("text") } == expected)
    let last = try #require(seen.last)
    let epoch = try #require(try clients[1].join("a").string("epoch"))
    clients[1].connection.closeNow()
    try clients[0].publish("a", #""n":100"#)
    let back = try cluster.nodes[0].connect("u2")
    let asked = backend.asked.count
    let answer = try back.join("a", since: #"{"epoch":"\#(epoch)","offset":\#(last.int("offset") ?? 0)}"#)
    #expect(answer.json["recovered"]?.asBool == true && backend.asked.count == asked + 1)
    try back.expect("message") { $0.int("n") == 100 }
  }
}
