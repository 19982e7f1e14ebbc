import JSONCore
import TestSupport
import Testing

@Suite("Cluster, permissions and revocation", .serialized)
struct PermissionTests {
  private func connect(_ node: RoostProcess, _ claims: String) throws -> WebSocketClient {
    try node.connect(token: try MintedToken.make(claims))
  }

  @Test("lets a token do what it grants on every node, and nothing else")
  func grants() throws {
    let cluster = try Cluster(2, MintedToken.flags)
    let ann = try connect(cluster.nodes[0], #""sub":"ann","rooms":["chat:*","r:news:*"]"#)
    let bob = try connect(cluster.nodes[1], #""sub":"bob","permissions":["broadcast"]"#)
    for room in ["chat:a", "news:a", "news:*"] { try ann.join(room) }
    for operation in ["join", "presence", "history"] {
      #expect(try ann.ask(#""type":"\#(operation)","room":"other""#).string("code") == "forbidden")
    }
    #expect(try ann.ask(#""type":"join","room":"chat*""#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"message","room":"news:a""#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"broadcast""#).string("code") == "forbidden")
    #expect(try ann.ask(#""type":"direct","to":"bob","n":1"#).int("delivered") == 1)
    try bob.expect("direct")
    for room in ["chat:a", "news:a", "other"] { try bob.join(room) }
    for room in ["other", "news:a", "chat:a"] { try bob.publish(room, "\"n\":1") }
    #expect(try ann.expect("message").string("room") == "news:a")
    #expect(try ann.expect("message").string("room") == "chat:a")
    #expect(try bob.ask(#""type":"broadcast","n":2"#).type == "ack")
    #expect(try ann.expect("broadcast").int("n") == 2)
    // A user's token opens nothing of the admin endpoint.
    let token = try MintedToken.make(#""sub":"root","permissions":["broadcast"]"#)
    #expect(try cluster.nodes[0].admin("GET", "nodes", token: token).status == 401)
  }

  @Test("leaves on the spot the rooms that a narrower token does not name")
  func narrower() throws {
    let cluster = try Cluster(2, MintedToken.flags)
    let ann = try connect(cluster.nodes[0], #""sub":"ann""#)
    let bob = try connect(cluster.nodes[1], #""sub":"bob""#)
    for room in ["a", "b"] {
      try bob.join(room)
      try ann.join(room)
    }
    let narrow = try MintedToken.make(#""sub":"ann","rooms":["a"]"#)
    #expect(try ann.ask(#""type":"auth","token":"\#(narrow)""#).type == "auth_success")
    #expect(try ann.expect("error").string("code") == "forbidden")
    #expect(try ann.expect("left").string("room") == "b")
    #expect(try bob.expect("user_left").string("room") == "b")
    try bob.publish("b", "\"n\":1")
    try bob.publish("a", "\"n\":1")
    #expect(try ann.expect("message").string("room") == "a")
  }

  @Test("closes what a revoked user and a revoked token have open on any node, and refuses them after a restart too")
  func revocation() throws {
    let cluster = try Cluster(2, MintedToken.flags)
    let issued = #""iat":1700000000"#
    let ann = try MintedToken.make(#""sub":"ann",\#(issued)"#)
    let stolen = try MintedToken.make(#""sub":"bob","jti":"j1",\#(issued)"#)
    let own = try MintedToken.make(#""sub":"bob","jti":"j2",\#(issued)"#)
    let clients = try [ann, stolen, own].map { try cluster.nodes[1].connect(token: $0) }
    for client in clients { try client.join("r") }
    for body in [#"{"user":"ann"}"#, #"{"token":"j1","for":"1h"}"#] {
      #expect(try cluster.nodes[0].admin("POST", "revoke", body: body).status == 200)
    }
    for client in clients.dropLast() {
      #expect(try client.expect("auth_failed").string("reason") == "revoked")
      #expect(try client.expectClose() == 4401)
    }
    #expect(try clients[2].expect("user_left").string("user") == "ann")
    try clients[2].publish("r", "\"n\":1")

    func isRefused(_ token: String, on node: RoostProcess) throws -> Bool {
      let client = try node.connect(token: token)
      guard try client.ask(#""type":"ping""#, orEnd: "auth_failed").type == "auth_failed" else { return false }
      return try client.expectClose() == 4401
    }
    let fresh = try Cluster.node("n3", on: cluster.redis, MintedToken.flags)
    try fresh.awaitReady()
    for node in cluster.nodes + [fresh] {
      for token in [ann, stolen] { #expect(try isRefused(token, on: node)) }
      #expect(try !isRefused(own, on: node))
      // A token that ann gets after the revocation is good.
      #expect(try !isRefused(try MintedToken.make(#""sub":"ann","iat":4000000000"#), on: node))
    }
    // A Redis that was restarted empty is told again by the nodes that live.
    try cluster.redis.restart()
    try eventually("the revocations are back") { try cluster.redis.command("ZCARD roost:3:{revoked}").hasPrefix(":2") }
  }

  @Test("revokes for as long as was asked")
  func revokesForATime() throws {
    let cluster = try Cluster(1, MintedToken.flags)
    let token = try MintedToken.make(#""sub":"ann","jti":"j1""#)
    let answer = try cluster.nodes[0].admin("POST", "revoke", body: #"{"token":"j1","for":"1s"}"#)
    #expect(answer.status == 200)
    try eventually("the token is good again", within: 10) {
      let client = try cluster.nodes[0].connect(token: token)
      return try client.ask(#""type":"ping""#, orEnd: "auth_failed").type == "pong"
    }
  }
}

extension WebSocketClient {
  /// Sends an operation with an `id` and returns its answer, or the text of type `end` when that comes first.
  fileprivate func ask(_ members: String, orEnd end: String) throws -> Received {
    try? send("{\(members),\"id\":\"ask\"}")
    let event = try take("an answer or \(end)") { event in
      guard case .text(let text) = event, let received = try? Received(text) else { return false }
      return received.type == end || received.string("id") == "ask"
    }
    guard case .text(let text) = event else { throw TestFailure("no text: \(event)") }
    return try Received(text)
  }
}
