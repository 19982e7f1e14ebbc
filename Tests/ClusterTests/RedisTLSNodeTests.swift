import Glibc
import TestSupport
import Testing

/// Node processes whose Redis speaks TLS.
@Suite("Redis over TLS", .serialized)
struct RedisTLSNodeTests {
  @Test(
    "a node with the right authority and certificate is ready; one with another authority is not, and says what to do")
  func trust() throws {
    let (certificates, others) = (try Certificates(), try Certificates())
    let port = try FreePort.find()
    let redis = try RedisProcess(certificates.redisArguments(port: port, asksForClients: true))
    let flags = [
      "--redis", "rediss://localhost:\(port)", "--workers", "1",
      "--redis-cert", certificates.client.certificate, "--redis-key", certificates.client.key,
    ]
    let node = try RoostProcess(flags + ["--redis-ca", certificates.authority])
    try node.awaitReady()
    let client = try node.connect("ann")
    try client.join("r")
    #expect(try client.publish("r", #""n":1"#) == 1)
    let stranger = try RoostProcess(flags + ["--redis-ca", others.authority])
    _ = try stranger.process.line(with: "--redis-ca")
    #expect(try stranger.http.get("/readyz").status == 503)
    #expect(try stranger.http.get("/healthz").status == 200)
    withExtendedLifetime(redis) {}
  }

  @Test("does not start with a file of authorities that cannot be read")
  func badFile() throws {
    let run = try RoostProcess.run(["serve", "--redis", "rediss://h", "--redis-ca", "/nonexistent.pem"])
    #expect(run.end == .exited(64))
    #expect(run.output.contains("/nonexistent.pem") && run.output.split(separator: "\n").count == 1)
  }

  /// Puts the files of one authority in the place of another's.
  private func replace(_ certificates: Certificates, by others: Certificates, _ names: [String]) throws {
    for name in names {
      let copy = try ChildProcess(["cp", "\(others.folder)/\(name)", "\(certificates.folder)/\(name)"])
      #expect(try copy.waitForEnd() == .exited(0))
    }
  }

  @Test("reads new files by itself when Redis has other certificates, those of an authority and its own")
  func renewal() throws {
    let (certificates, others) = (try Certificates(), try Certificates())
    let port = try FreePort.find()
    let redis = try RedisProcess(certificates.redisArguments(port: port, asksForClients: true))
    let node = try RoostProcess([
      "--redis", "rediss://localhost:\(port)", "--workers", "1", "--redis-cert", certificates.client.certificate,
      "--redis-key", certificates.client.key, "--redis-ca", certificates.authority,
    ])
    try node.awaitReady()
    try replace(certificates, by: others, ["ca.pem", "server.pem", "server.key", "client.pem", "client.key"])
    try redis.restart()
    _ = try node.process.line(with: "read the files for TLS with Redis again", within: 20)
    try node.awaitReady(within: 20)
    #expect(try node.connect("ann").ask(#""type":"join","room":"r""#).type == "joined")
  }

  @Test("keeps what it has when SIGHUP finds a file that cannot be used, and takes one that can")
  func reload() throws {
    let certificates = try Certificates()
    let port = try FreePort.find()
    let redis = try RedisProcess(certificates.redisArguments(port: port))
    let node = try RoostProcess([
      "--redis", "rediss://localhost:\(port)", "--workers", "1", "--redis-ca", certificates.authority,
    ])
    try node.awaitReady()
    let copy = "\(certificates.folder)/ca.csr"
    #expect(try ChildProcess(["cp", certificates.authority, copy]).waitForEnd() == .exited(0))
    #expect(try ChildProcess(["bash", "-c", "echo nonsense > \(certificates.authority)"]).waitForEnd() == .exited(0))
    node.process.signal(SIGHUP)
    let line = try node.process.line(with: "kept the old files for TLS with Redis")
    #expect(line.contains(certificates.authority) && !line.contains("error:"), "\(line)")
    // It goes on with what it read before.
    #expect(try redis.command("CLIENT KILL TYPE normal").hasPrefix(":"))
    try node.awaitReady()
    #expect(try ChildProcess(["cp", copy, certificates.authority]).waitForEnd() == .exited(0))
    node.process.signal(SIGHUP)
    _ = try node.process.line(with: "read the files for TLS with Redis again")
  }

  @Test("says in words of its own what is wrong with a file", arguments: ["--redis-ca", "--redis-cert"])
  func plainWords(_ flag: String) throws {
    let certificates = try Certificates()
    // A key where a certificate belongs.
    var flags = ["serve", "--redis", "rediss://h", flag, certificates.client.key]
    if flag == "--redis-cert" { flags += ["--redis-key", certificates.client.key] }
    let run = try RoostProcess.run(flags)
    #expect(run.end == .exited(64) && run.output.contains(certificates.client.key), "\(run)")
    #expect(!run.output.contains("error:") && !run.output.contains("routines"), "\(run)")
  }
}
