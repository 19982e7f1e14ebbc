import TestSupport
import Testing

@Suite("Bridges and their node")
struct StartTests {
  private let bridge =
    #"{"name":"k","kind":"kafka","url":"kafka://u:S3CRET@127.0.0.1:1","out":[{"match":"*","topic":"t"}]}"#

  @Test("bridges need Redis: the embedded broker refuses them with status 64")
  func embedded() throws {
    let file = try SettingsFileOnDisk(#"{"bridges":[\#(bridge)]}"#)
    let run = try RoostProcess.run(["serve", "--port", "0", "--config", file.path])
    #expect(run.end == .exited(64) && run.output.contains("bridges needs --redis"), "\(run)")
  }

  @Test("end with their node, and log no secret")
  func ends() throws {
    let cluster = try BridgeCluster(bridge)
    let node = try cluster.addNode()
    _ = try node.process.line(with: "starts", within: 20)
    try eventually("the bridge runs") { try node.metric(#"roost_bridge_up{bridge="k"}"#) == 1 }
    #expect(try node.admin("GET", "nodes").text.contains(#""bridges":["k"]"#))
    node.process.signal(15)
    #expect(try node.process.waitForEnd(within: 30) == .exited(0))
    #expect(!node.process.output.contains("S3CRET"))
  }

  @Test("are started again when they die")
  func restarted() throws {
    let cluster = try BridgeCluster(bridge)
    let node = try cluster.addNode()
    _ = try node.process.line(with: "starts", within: 20)
    let children = try ChildProcess(["pgrep", "-P", "\(node.process.id)", "roost-bridges"])
    _ = try children.waitForEnd()
    let child = try #require(Int32(children.output.split(separator: "\n").first ?? ""))
    _ = try ChildProcess(["kill", "-KILL", "\(child)"]).waitForEnd()
    _ = try node.process.line(with: "starting it again", within: 10)
    try eventually("the bridge runs again", within: 20) {
      node.process.output.split(separator: "\n").filter { $0.contains("starts") }.count >= 2
    }
  }
}
