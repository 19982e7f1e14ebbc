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
}
