import LoopCore
import Realtime
import TestSupport
import Testing

@testable import RedisBackend

/// A Redis behind TLS, and every way in which that goes wrong: one line that says what to do, and a node that keeps trying.
@Suite(.serialized)
struct RedisTLSTests {
  let certificates: Certificates
  let port: UInt16

  init() throws {
    certificates = try Certificates()
    port = try FreePort.find()
  }

  private func node(
    _ server: RedisServer, host: String = "localhost", trusting authority: String? = nil, asClient: Bool = false,
    _ change: (inout RedisConfiguration) -> Void = { _ in }
  ) throws -> TestNode {
    let tls = try TLSClientContext(
      authorityPath: authority ?? certificates.authority,
      certificatePath: asClient ? certificates.client.certificate : nil,
      keyPath: asClient ? certificates.client.key : nil)
    return try TestNode("n1", on: server, tls: tls) {
      $0.topology = .single(.tcp(host: host, port: port))
      change(&$0)
    }
  }

  /// Waits until the node has complained with all of `words`, and sees that it goes on trying.
  private func expectComplaint(_ node: TestNode, _ words: String...) {
    #expect(drive([node]) { node.log.contains { line in words.allSatisfy(line.contains) } }, "\(node.log)")
    #expect(!node.isUp && node.heard.lost == 1)
    // Failures of two kinds may take turns; one that stays the same is told once.
    drive([node], within: 0.3) { false }
    #expect(zip(node.log, node.log.dropFirst()).allSatisfy { $0 != $1 }, "the same line again: \(node.log)")
  }

  @Test("works by name and by address, with large messages in both directions", arguments: ["localhost", "127.0.0.1"])
  func works(host: String) throws {
    let server = try RedisServer(certificates.redisArguments(port: port))
    let node = try node(server, host: host)
    #expect(drive([node]) { node.isUp })
    try node.subscribe()
    let large = String(repeating: "x", count: 1 << 20)
    for _ in 0..<8 { _ = try node.publish(large) }
    #expect(drive([node]) { node.heard.messages.count == 8 })
    #expect(node.heard.messages.allSatisfy { $0.envelope == large })
    #expect(try node.history(.newest(limit: 8)).entries.count == 8)
  }

  @Test("does not trust a certificate of an authority that was not named, and recovers with the right one")
  func unknownAuthority() throws {
    let others = try Certificates()
    let server = try RedisServer(others.redisArguments(port: port))
    let node = try node(server)
    expectComplaint(node, "TLS", "certificate", "--redis-ca")
    let trusting = try self.node(server, trusting: others.authority)
    #expect(drive([trusting]) { trusting.isUp })
  }

  @Test("does not trust a certificate for another host", arguments: ["localhost", "127.0.0.1"])
  func otherHost(host: String) throws {
    let server = try RedisServer(certificates.redisArguments(port: port, certificates.stranger))
    expectComplaint(try node(server, host: host), "TLS", "mismatch", "use a host in --redis that the certificate names")
  }

  @Test("says that a client certificate is asked for, and shows it when it has one")
  func clientCertificate() throws {
    let server = try RedisServer(certificates.redisArguments(port: port, asksForClients: true))
    expectComplaint(try node(server), "TLS", "--redis-cert")
    let known = try node(server, asClient: true)
    #expect(drive([known]) { known.isUp })
    #expect(try known.publish("m").offset == 1)
  }

  @Test("says that a port does not speak TLS")
  func plainPort() throws {
    let server = try RedisServer()
    let tls = try TLSClientContext(authorityPath: certificates.authority, certificatePath: nil, keyPath: nil)
    let node = try TestNode("n1", on: server, tls: tls)
    expectComplaint(node, "TLS")
  }

  @Test("gives a peer that accepts and never speaks TLS no more than the time for a connection")
  func silentPeer() throws {
    let server = try RedisServer(certificates.redisArguments(port: port))
    server.pause()
    let node = try node(server)
    #expect(drive([node]) { node.log.contains { $0.contains("no TLS handshake within") } })
    server.resume()
    #expect(drive([node]) { node.isUp })
  }

  @Test("authenticates as an ACL user over TLS; a wrong password is told without repeating it")
  func access() throws {
    let server = try RedisServer(certificates.redisArguments(port: port))
    server.run("ACL", "SETUSER", "ann", "on", ">s3cret", "~*", "&*", "+@all")
    let node = try node(server) { ($0.user, $0.password) = ("ann", "s3cret") }
    #expect(drive([node]) { node.isUp })
    let stranger = try self.node(server) { ($0.user, $0.password) = ("ann", "wr0ng") }
    expectComplaint(stranger, "AUTH was refused", "check user and password in --redis")
    #expect(!stranger.log.contains { $0.contains("wr0ng") })
  }

  @Test(
    "names the command that an ACL user may not use",
    arguments: [
      ("SUBSCRIBE", ["~*", "+@all", "resetchannels"]), ("ZRANGE", ["&*", "+@all", "resetkeys", "~roost:3:{nodes}*"]),
      ("EVALSHA (claim)", ["&*", "+@all", "resetkeys", "~other:*"]),
      ("EVALSHA", ["~*", "&*", "+@all", "-evalsha"]),
      ("SCRIPT LOAD", ["~*", "&*", "+@all", "-script"]),
    ])
  func permissions(command: String, rules: [String]) throws {
    let server = try RedisServer(certificates.redisArguments(port: port))
    server.run(["ACL", "SETUSER", "ann", "on", ">s3cret"] + rules)
    let node = try node(server) { ($0.user, $0.password) = ("ann", "s3cret") }
    #expect(
      drive([node]) {
        node.log.contains { $0.contains(command) && $0.contains("NOPERM") && $0.contains("docs/redis.md") }
      }, "\(node.log)")
    #expect(!node.isUp)
    #expect(node.log.count < 6, "\(node.log)")
  }

  @Test("refuses files that are no certificates, or do not belong together")
  func badFiles() {
    let pair = certificates.client
    #expect(throws: TLSError.self) {
      try TLSClientContext(authorityPath: "/nonexistent", certificatePath: nil, keyPath: nil)
    }
    #expect(throws: TLSError.self) {
      try TLSClientContext(authorityPath: nil, certificatePath: pair.key, keyPath: pair.key)
    }
    #expect(throws: TLSError.self) {
      try TLSClientContext(authorityPath: nil, certificatePath: pair.certificate, keyPath: certificates.server.key)
    }
  }
}
