import Glibc
import JSONCore
import TestSupport
import Testing

@Suite("Cluster, members of a draining node", .serialized)
struct HandOverTests {
  /// The texts of a type that a client has not yet taken, by user.
  private func notices(_ texts: [Received], _ type: String) -> [String] {
    texts.filter { $0.type == type }.compactMap { $0.string("user") }
  }

  @Test("says nothing of a user who is back elsewhere within the grace, and user_left once of one who is not")
  func handOver() throws {
    let cluster = try Cluster(2, ["--drain", "1s", "--leave-grace", "5s"])
    let back = try cluster.nodes[0].connect("back")
    let gone = try cluster.nodes[0].connect("gone")
    let observer = try cluster.nodes[1].connect("observer")
    for client in [back, gone] { try client.join("r") }
    try observer.join("r")
    cluster.nodes[0].process.signal(SIGTERM)
    #expect(try back.expectClose() == 1012)
    let again = try cluster.nodes[1].connect("back")
    try again.join("r")
    #expect(try gone.expectClose() == 1012)
    #expect(try cluster.nodes[0].process.waitForEnd() == .exited(0))
    let presence = try cluster.nodes[1].inspect("presence/r")
    #expect(presence["members"]?.asArray?.compactMap { $0["user"]?.asString }.sorted() == ["back", "gone", "observer"])
    try eventually("the closed connection of who is back is not shown any more", within: 4) {
      try cluster.nodes[1].inspect("presence/r")["count"]?.asInt == 3
        && cluster.nodes[1].inspect("users/back")["count"]?.asInt == 1
    }
    #expect(try cluster.nodes[1].inspect("nodes")["nodes"]?.asArray?.count == 1)
    #expect(try observer.ask(#""type":"direct","to":"gone""#).int("delivered") == 0)
    #expect(try observer.expect("user_left", within: 15).string("user") == "gone")
    try eventually("nothing of the node is left in Redis") {
      try cluster.redis.command("KEYS *{n:n1}*").hasPrefix("*0\r\n")
        && cluster.redis.command("ZCARD roost:3:{nodes}:leaving").hasPrefix(":0\r\n")
    }
    let rest = try observer.settle()
    #expect(notices(rest, "user_left").isEmpty && notices(rest, "user_joined").isEmpty, "\(rest)")
    #expect(try cluster.nodes[1].inspect("presence/r")["users"]?.asInt == 2)
  }

  @Test("nobody stays in presence whose room was empty long before the node ended", arguments: ["0", "2s"])
  func emptyRooms(debounce: String) throws {
    let cluster = try Cluster(2, ["--drain", "4s", "--leave-grace", "1s", "--leave-debounce", debounce])
    // Each alone in a room: the room lingers for a second after its only member was closed, somewhere in the drain.
    let clients = try (0..<12).map { number in
      let client = try cluster.nodes[0].connect("u\(number)")
      try client.join("r\(number)")
      return client
    }
    cluster.nodes[0].process.signal(SIGTERM)
    #expect(try cluster.nodes[0].process.waitForEnd(within: 20) == .exited(0))
    try eventually("nobody is in any of the rooms", within: 15) {
      try (0..<12).allSatisfy { try cluster.nodes[1].inspect("presence/r\($0)")["users"]?.asInt == 0 }
    }
    withExtendedLifetime(clients) {}
  }

  @Test("hands over whoever is still there when the drain takes no time")
  func noDrain() throws {
    let cluster = try Cluster(2, ["--drain", "0", "--leave-grace", "5s"])
    let clients = try cluster.members(of: "r")
    cluster.nodes[0].process.signal(SIGTERM)
    #expect(try cluster.nodes[0].process.waitForEnd() == .exited(0))
    let again = try cluster.nodes[1].connect("u1")
    try again.join("r")
    try eventually("the node is swept", within: 15) { try cluster.redis.command("KEYS *{n:n1}*").hasPrefix("*0\r\n") }
    let rest = try clients[1].settle()
    #expect(notices(rest, "user_left").isEmpty && notices(rest, "user_joined").isEmpty, "\(rest)")
    #expect(try cluster.nodes[1].inspect("presence/r")["count"]?.asInt == 2)
  }
}
